package baseimage

import (
	"context"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/debian"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/leftover"
)

const (
	bundle       = "/etc/ssl/certs/ca-certificates.crt"
	publicCerts  = "/usr/share/ca-certificates"
	privateCerts = "/usr/local/share/ca-certificates"
)

// readHost finds out how this machine fetches packages, so that images built on
// the base can do the same.
func readHost(suite string) (host, error) {
	all, err := debian.Sources()
	if err != nil {
		return host{}, err
	}
	sources := debian.ForSuite(all, suite)
	h := host{sources: debian.List(sources)}
	if h.mirror, err = debian.Mirror(sources, suite); err != nil {
		return h, err
	}
	if h.aptConfig, err = debian.FetchConfig(); err != nil {
		return h, err
	}
	for _, s := range sources {
		if strings.HasPrefix(s.SignedBy, "/") {
			h.keyring = s.SignedBy
			break
		}
	}
	h.authorities, err = privateAuthorities()
	return h, err
}

// privateAuthorities are the certificates this machine trusts beyond the
// distribution's: a company's, or a package proxy's.
func privateAuthorities() ([]string, error) {
	trusted, err := os.ReadFile(bundle)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read trusted certificates: %w", err)
	}
	var public strings.Builder
	filepath.WalkDir(publicCerts, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".crt") {
			data, _ := os.ReadFile(path)
			public.Write(data)
			public.WriteByte('\n')
		}
		return nil
	})
	return difference(string(trusted), public.String()), nil
}

// difference are the certificates of a that b does not have, in a's order.
func difference(a, b string) []string {
	known := map[string]bool{}
	for _, cert := range certificates(b) {
		known[cert] = true
	}
	var found []string
	for _, cert := range certificates(a) {
		if !known[cert] {
			found = append(found, cert)
			known[cert] = true
		}
	}
	return found
}

func certificates(text string) []string {
	var all []string
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return all
		}
		all = append(all, string(pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})))
	}
}

func (o Options) debootstrap(ctx context.Context, h host, root string) error {
	debs := filepath.Join(filepath.Dir(o.Archive), "debs")
	if err := os.MkdirAll(debs, 0o755); err != nil {
		return fmt.Errorf("make package cache: %w", err)
	}
	args := []string{"--variant=minbase", "--cache-dir=" + debs}
	if h.keyring != "" {
		args = append(args, "--keyring="+h.keyring)
	}
	if len(o.Include) > 0 {
		args = append(args, "--include="+strings.Join(o.Include, ","))
	}
	var env []string
	if proxy := debian.Proxy(h.aptConfig); proxy != "" {
		env = append(env, "http_proxy="+proxy)
	}
	if err := run(ctx, env, "debootstrap", append(args, o.Suite, root, h.mirror)...); err != nil {
		return err
	}
	mounts, err := leftover.Mounts(root)
	if err == nil && len(mounts) > 0 {
		err = leftover.Unmount(root)
	}
	return err
}

// configure makes the root fetch packages as the host does, and empties caches.
func configure(ctx context.Context, h host, root string) error {
	files := map[string]string{
		"etc/apt/sources.list":           h.sources,
		"etc/apt/apt.conf.d/90host":      h.aptConfig,
		"etc/apt/apt.conf.d/91container": "APT::Install-Recommends \"false\";\nDPkg::Options { \"--force-unsafe-io\"; };\n",
	}
	for i, cert := range h.authorities {
		files[filepath.Join(privateCerts, fmt.Sprintf("host-%d.crt", i))] = cert
	}
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("configure root: %w", err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("configure root: %w", err)
		}
	}
	if len(h.authorities) > 0 {
		if err := run(ctx, nil, "chroot", root, "update-ca-certificates"); err != nil {
			return err
		}
	}
	// What debootstrap copied from the host, and what a build fetches anew.
	os.WriteFile(filepath.Join(root, "etc/hostname"), []byte("localhost\n"), 0o644)
	os.WriteFile(filepath.Join(root, "etc/resolv.conf"), nil, 0o644)
	for _, pattern := range []string{"var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt/*"} {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range found {
			os.RemoveAll(path)
		}
	}
	return nil
}

// removeRoot deletes the root, never what is mounted in it.
func removeRoot(root string) error {
	if err := leftover.Unmount(root); err != nil {
		return err
	}
	if err := os.RemoveAll(root); err != nil {
		return fmt.Errorf("remove %s: %w", root, err)
	}
	return nil
}
