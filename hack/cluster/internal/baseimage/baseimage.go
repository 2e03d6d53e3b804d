// Package baseimage makes the base of the project's images from the
// distribution's packages, where no registry can be reached.
package baseimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/debian"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/image"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/steps"
)

// Options are what to make.
type Options struct {
	// Suite is the Debian release.
	Suite string
	// Include are packages beyond the minimal set.
	Include []string
	// Name is the image's name in buildah's storage.
	Name string
	// Archive is the file the image is kept in.
	Archive  string
	Progress io.Writer
}

// host is how this machine reaches its package mirror.
type host struct {
	mirror, sources, aptConfig, keyring string
	authorities                         []string
}

// keyLabel names the label under which an image remembers what it was made from.
const keyLabel = "axon.base.key"

var needs = []debian.Need{debian.Command("debootstrap", "debootstrap"), debian.Command("buildah", "buildah")}

// Make makes the archive unless one of the same content is there, and imports it
// into buildah's storage unless it is there.
func Make(ctx context.Context, o Options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("making the base image needs root")
	}
	s := steps.New(o.Progress)
	if err := debian.Install(s, needs); err != nil {
		return err
	}
	h, err := readHost(o.Suite)
	if err != nil {
		return err
	}
	key := o.key(h)
	kept, _ := os.ReadFile(o.Archive + ".key")
	if _, err := os.Stat(o.Archive); err != nil || string(kept) != key {
		if err := o.build(ctx, s, h, key); err != nil {
			return err
		}
	}
	if importedKey(ctx, o.Name) == key {
		s.Say("%s is in buildah's storage", o.Name)
		return nil
	}
	return s.Do("imported "+o.Name+" into buildah's storage", func() error {
		return run(ctx, nil, "buildah", "pull", "-q", "docker-archive:"+o.Archive)
	})
}

// key changes with everything that decides the image's content.
func (o Options) key(h host) string {
	parts := append([]string{"2", o.Suite, strings.Join(o.Include, ","), o.Name, h.sources, h.aptConfig}, h.authorities...)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}

func (o Options) build(ctx context.Context, s *steps.Steps, h host, key string) error {
	if err := os.MkdirAll(filepath.Dir(o.Archive), 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	os.Remove(o.Archive + ".key")
	root, layer := o.Archive+".root", o.Archive+".layer"
	// debootstrap mounts inside the root; after an interruption that must go first.
	defer removeRoot(root)
	defer os.Remove(layer)
	if err := removeRoot(root); err != nil {
		return err
	}
	if err := s.Do("debootstrap "+o.Suite, func() error { return o.debootstrap(ctx, h, root) }); err != nil {
		return err
	}
	if err := s.Do("package sources and certificates", func() error { return configure(ctx, h, root) }); err != nil {
		return err
	}
	return s.Do("wrote "+o.Archive, func() error {
		if err := run(ctx, nil, "tar", "--numeric-owner", "--one-file-system", "--sort=name", "-C", root, "-cf", layer, "."); err != nil {
			return err
		}
		if err := image.WriteArchive(o.Archive, o.Name, imageConfig(h, key), layer); err != nil {
			return err
		}
		return layout.WriteFile(o.Archive+".key", []byte(key), 0o644)
	})
}

func imageConfig(h host, key string) image.Config {
	config := image.Config{
		Cmd:    []string{"bash"},
		Env:    []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Labels: map[string]string{keyLabel: key},
	}
	if len(h.authorities) > 0 {
		// Node.js brings certificates of its own and reads the system's only when told.
		config.Env = append(config.Env, "NODE_EXTRA_CA_CERTS="+bundle)
	}
	return config
}

// importedKey is the key of the image in buildah's storage, or "".
func importedKey(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "buildah", "inspect", "--type", "image",
		"--format", `{{index .OCIv1.Config.Labels "`+keyLabel+`"}}`, name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// run runs a program and puts the end of what it said into the error.
func run(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := strings.TrimSpace(string(out))
		return fmt.Errorf("%s: %w: %s", name, err, said[max(0, len(said)-800):])
	}
	return nil
}
