// Package node configures the programs of the cluster's one node: containerd,
// kubelet, kube-proxy, the scheduler, and the name server.
package node

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/leftover"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/sys"
)

// Name is the node's name.
const Name = "axon"

// Names of the components, as in pid files and logs.
const (
	Containerd = "containerd"
	Kubelet    = "kubelet"
	KubeProxy  = "kube-proxy"
	Scheduler  = "kube-scheduler"
	CoreDNS    = "coredns"
)

// NetworkName is the pod network's, as the network plug-ins record it.
const NetworkName = "axon-pods"

// DataDir holds images, containers and volumes.
func DataDir(l layout.Layout) string { return l.Path("data", "node") }

// ShortDir is the data folder under a second, short path: sockets are made
// below it, whose path may have 107 bytes only. Real paths, not a symbolic link,
// because the kubelet resolves links before it mounts.
func ShortDir(l layout.Layout) string { return filepath.Join(l.Run(), "node") }

// Socket is containerd's.
func Socket(l layout.Layout) string { return filepath.Join(ShortDir(l), "containerd.sock") }

// Cgroup is the parent of all pods' cgroups.
func Cgroup(l layout.Layout) string { return "axon-cluster-" + l.ID() }

// MountShort shows the data folder under its short path, unless it does already.
func MountShort(l layout.Layout) error {
	for _, dir := range []string{DataDir(l), ShortDir(l)} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	mounts, err := leftover.Mounts(ShortDir(l))
	if err != nil {
		return err
	}
	// The outermost mount is ours.
	if len(mounts) > 0 && mounts[len(mounts)-1] == ShortDir(l) {
		return nil
	}
	if err := sys.BindShared(DataDir(l), ShortDir(l)); err != nil {
		return fmt.Errorf("mount %s: %w", ShortDir(l), err)
	}
	return nil
}
