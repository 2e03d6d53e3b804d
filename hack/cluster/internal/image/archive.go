// Package image writes image archives and loads them into the node.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// Config is how containers of the image start.
type Config struct {
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	User       string            `json:"User,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// WriteArchive writes an archive as `docker save` would: one layer (a plain tar
// file), a configuration, and a manifest that names both. Neither an image
// builder nor a container engine is needed for it.
func WriteArchive(path, name string, config Config, layer string) error {
	digest, size, err := digestFile(layer)
	if err != nil {
		return fmt.Errorf("read layer of %s: %w", name, err)
	}
	imageJSON, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest}},
		// Builders that cache layers count on one entry for each.
		"history": []map[string]any{{"created_by": "axon-cluster"}},
	})
	if err != nil {
		return fmt.Errorf("encode configuration of %s: %w", name, err)
	}
	sum := sha256.Sum256(imageJSON)
	configName, layerName := hex.EncodeToString(sum[:])+".json", digest+".tar"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{layerName}}})
	if err != nil {
		return fmt.Errorf("encode manifest of %s: %w", name, err)
	}
	tmp := path + ".tmp"
	if err := writeTar(tmp, layer, layerName, size, map[string][]byte{configName: imageJSON, "manifest.json": manifest}); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write archive of %s: %w", name, err)
	}
	return os.Rename(tmp, path)
}

func writeTar(path, layer, layerName string, size int64, small map[string][]byte) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	in, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer in.Close()
	w := tar.NewWriter(out)
	add := func(name string, size int64, content io.Reader) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
			return err
		}
		_, err := io.Copy(w, content)
		return err
	}
	if err := add(layerName, size, in); err != nil {
		return err
	}
	for name, content := range small {
		if err := add(name, int64(len(content)), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

func digestFile(path string) (digest string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// SingleBinary writes an archive of an image that holds nothing but one static program.
func SingleBinary(path, name, program, user string) error {
	data, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read program of %s: %w", name, err)
	}
	layer := path + ".layer"
	defer os.Remove(layer)
	out, err := os.Create(layer)
	if err != nil {
		return fmt.Errorf("write layer of %s: %w", name, err)
	}
	defer out.Close()
	inside := name[strings.LastIndexByte(name, '/')+1:]
	inside, _, _ = strings.Cut(inside, ":")
	w := tar.NewWriter(out)
	if err := w.WriteHeader(&tar.Header{Name: inside, Mode: 0o755, Size: int64(len(data))}); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("write layer of %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write layer of %s: %w", name, err)
	}
	return WriteArchive(path, name, Config{Entrypoint: []string{"/" + inside}, User: user}, layer)
}
