package layout

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAFolderHasOneIdentityHoweverItIsNamed(t *testing.T) {
	base := t.TempDir()
	real, link := filepath.Join(base, "real"), filepath.Join(base, "link")
	if err := os.Mkdir(real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	before, err := New(filepath.Join(link, "new"), "/bin")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(real, "new"), 0o755); err != nil {
		t.Fatal(err)
	}
	after, err := New(filepath.Join(real, "new"), "/bin")
	if err != nil || before.ID() != after.ID() {
		t.Fatalf("%s and %s differ: %v", before.Dir, after.Dir, err)
	}
}

func TestSocketPathsStayShort(t *testing.T) {
	l := Layout{Dir: "/" + strings.Repeat("long/", 100)}
	// The longest socket below it is the kubelet's for device plug-ins.
	if path := filepath.Join(l.Run(), "node/kubelet/device-plugins/kubelet.sock"); len(path) > 107 {
		t.Fatalf("%s has %d bytes", path, len(path))
	}
}

func TestAHalfWrittenStateIsNoState(t *testing.T) {
	l := Layout{Dir: t.TempDir()}
	if err := os.WriteFile(l.Path(StateFile), []byte(`{"boot":"b","complete":true,"por`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := l.Load(); s.Complete || s.Boot != "" || s.Ports == nil {
		t.Fatalf("got %+v", s)
	}
}

func TestRemoveKeepsBinariesAndCaches(t *testing.T) {
	l := Layout{Dir: t.TempDir()}
	if err := l.Make(); err != nil {
		t.Fatal(err)
	}
	for _, kept := range []string{"bin", "cache"} {
		if err := os.Mkdir(l.Path(kept), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The Makefile keeps marks of loaded images here: they must go with the images.
	if err := os.MkdirAll(l.Path("data/loaded"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Save(State{Boot: "b"}); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(l.Dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("left: %v, %v", entries, err)
	}
}

func TestComponentsSeeNoProxyAndOneMarker(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	t.Setenv("no_proxy", "x")
	t.Setenv(Marker, "/other")
	env := Layout{Dir: "/ours"}.Environ("EXTRA=1")
	if !slices.Contains(env, Marker+"=/ours") || !slices.Contains(env, "EXTRA=1") {
		t.Errorf("got %v", env)
	}
	for _, entry := range env {
		if strings.HasPrefix(entry, "HTTPS_PROXY=") || strings.HasPrefix(entry, "no_proxy=") || entry == Marker+"=/other" {
			t.Errorf("%s is handed on", entry)
		}
	}
}
