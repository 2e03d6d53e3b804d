package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestAnArchiveNamesItsPartsConsistently(t *testing.T) {
	dir := t.TempDir()
	program, archive := filepath.Join(dir, "p"), filepath.Join(dir, "a.tar")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := SingleBinary(archive, "localhost/pause:1", program, "65535"); err != nil {
		t.Fatal(err)
	}
	files := readTar(t, archive)
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Config Config `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(files[manifest[0].Config], &config); err != nil {
		t.Fatal(err)
	}
	layer := manifest[0].Layers[0]
	if files[layer] == nil || "sha256:"+layer != config.RootFS.DiffIDs[0]+".tar" {
		t.Errorf("layer %s, digests %v", layer, config.RootFS.DiffIDs)
	}
	if manifest[0].RepoTags[0] != "localhost/pause:1" || config.Config.Entrypoint[0] != "/pause" {
		t.Errorf("got %+v, %+v", manifest, config)
	}
}

func readTar(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadedNames(t *testing.T) {
	output := "unpacking localhost/a:1 (sha256:00)...done\nother line\nunpacking localhost/b:2 (sha256:11)...done\n"
	if got := loadedNames(output); !slices.Equal(got, []string{"localhost/a:1", "localhost/b:2"}) {
		t.Fatalf("got %q", got)
	}
}
