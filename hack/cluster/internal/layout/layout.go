// Package layout says where everything of a cluster lives: one folder holds all
// state, so that removing the folder (after `down`) removes the cluster.
package layout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Marker is the environment variable every process of a cluster carries. It
// names the cluster's folder, so that a process is known as ours even when its
// pid file is gone.
const Marker = "AXON_CLUSTER_DIR"

// RunPrefix starts the name of the short-lived folder outside the state folder.
const RunPrefix = "/run/axon-cluster-"

// Layout is the set of paths below one state folder.
type Layout struct {
	// Dir is the absolute state folder.
	Dir string
	// Bin holds the `kube` binary and the links to it.
	Bin string
}

// New makes dir absolute. bin may be empty: the folder of the running program
// is used when it has a `kube`, else the state folder's own `bin`.
func New(dir, bin string) (Layout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Layout{}, fmt.Errorf("resolve folder %s: %w", dir, err)
	}
	abs = resolve(abs)
	l := Layout{Dir: abs, Bin: bin}
	if l.Bin == "" {
		l.Bin = filepath.Join(abs, "bin")
		if self, err := os.Executable(); err == nil && exists(filepath.Join(filepath.Dir(self), "kube")) {
			l.Bin = filepath.Dir(self)
		}
	}
	l.Bin, err = filepath.Abs(l.Bin)
	return l, err
}

// resolve follows the links of the part of the path that exists, so that a
// folder has one identity before and after it is made.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolve(parent), filepath.Base(path))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Path joins names below the state folder.
func (l Layout) Path(names ...string) string {
	return filepath.Join(append([]string{l.Dir}, names...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return l.Path("kubeconfig") }

// Log is the log file of a component.
func (l Layout) Log(component string) string { return l.Path("logs", component+".log") }

// PidFile is the pid file of a component.
func (l Layout) PidFile(component string) string { return l.Path("pids", component) }

// Cert is a certificate or key file.
func (l Layout) Cert(name string) string { return l.Path("certs", name) }

// Config is a generated configuration file.
func (l Layout) Config(name string) string { return l.Path("config", name) }

// Binary is the link through which a component is started.
func (l Layout) Binary(component string) string { return filepath.Join(l.Bin, component) }

// ID tells this state folder from any other on the machine.
func (l Layout) ID() string {
	sum := sha256.Sum256([]byte(l.Dir))
	return hex.EncodeToString(sum[:4])
}

// Run is a folder whose path is short whatever the checkout's path is: the path
// of a Unix socket may not exceed 107 bytes.
func (l Layout) Run() string { return RunPrefix + l.ID() }

// Environ is the environment of the cluster's processes: ours, marked, and
// without proxies, which must not be asked for the cluster's own addresses.
func (l Layout) Environ(extra ...string) []string {
	var env []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasSuffix(strings.ToLower(name), "_proxy") && name != Marker {
			env = append(env, entry)
		}
	}
	return append(append(env, Marker+"="+l.Dir), extra...)
}

// components are the names the kube binary answers to.
var components = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl", "coredns"}

// LinkBinaries makes the links next to the kube binary through which each
// component is called.
func (l Layout) LinkBinaries() error {
	kube := l.Binary("kube")
	if !exists(kube) {
		return fmt.Errorf("there is no %s: build it with `make cluster-binaries`", kube)
	}
	for _, name := range components {
		if target, err := os.Readlink(l.Binary(name)); err == nil && target == "kube" {
			continue
		}
		// Several control planes may start at once: replace atomically.
		tmp := l.Binary(fmt.Sprintf(".%s.%d", name, os.Getpid()))
		if err := os.Symlink("kube", tmp); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
		if err := os.Rename(tmp, l.Binary(name)); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
	}
	return nil
}

// Make creates the folders that hold state.
func (l Layout) Make() error {
	for _, name := range []string{"certs", "config", "data", "logs", "pids"} {
		if err := os.MkdirAll(l.Path(name), 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	return nil
}

// Remove deletes the state, and keeps what else is in the folder: binaries and
// caches. An empty folder goes when its lock is given back.
func (l Layout) Remove() error {
	for _, name := range []string{"certs", "config", "data", "logs", "pids", "kubeconfig", StateFile} {
		if err := os.RemoveAll(l.Path(name)); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	return nil
}
