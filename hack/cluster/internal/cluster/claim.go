package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/steps"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// The bridges and addresses exist once on a machine, so one machine runs one
// cluster. A file in the run folder says whose it is.
const ownerFile = "owner"

// sysctlFile, next to it, has the kernel settings to put back. It is not part of
// the state folder, which people may delete.
const sysctlFile = "sysctls"

// claim records that the cluster of this folder uses the machine.
func claim(l layout.Layout) error {
	if err := os.MkdirAll(l.Run(), 0o711); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	return layout.WriteFile(filepath.Join(l.Run(), ownerFile), []byte(l.Dir+"\n"), 0o600)
}

// claims are the folders whose clusters used this machine and were not taken down.
func claims() []layout.Layout {
	files, _ := filepath.Glob(layout.RunPrefix + "*/" + ownerFile)
	var all []layout.Layout
	for _, file := range files {
		data, err := os.ReadFile(file)
		dir := strings.TrimSpace(string(data))
		if err != nil || dir == "" {
			continue
		}
		// The folder may be gone or have become a link; its name is its identity.
		if other := (layout.Layout{Dir: dir}); other.Run() == filepath.Dir(file) {
			all = append(all, other)
		}
	}
	return all
}

// othersOf are the claims of other folders.
func othersOf(l layout.Layout) []layout.Layout {
	var others []layout.Layout
	for _, other := range claims() {
		if other.Dir != l.Dir {
			others = append(others, other)
		}
	}
	return others
}

// claimed says whether the machine's links and rules are this cluster's to
// remove: it made them, or they are a cluster's of which nothing else is left.
func (c Cluster) claimed() bool {
	if len(othersOf(c.Layout)) < len(claims()) {
		return true
	}
	return len(network.Links()) > 0 && livingOther(c.Layout) == nil
}

// living says whether any process of the folder's cluster is alive.
func living(l layout.Layout) bool {
	for _, id := range supervise.IDs(l) {
		if id.Alive() {
			return true
		}
	}
	return len(proc.WithEnv(layout.Marker, l.Dir)) > 0
}

// livingOther is another folder's living cluster, or nil.
func livingOther(l layout.Layout) *layout.Layout {
	for _, other := range othersOf(l) {
		if living(other) {
			return &other
		}
	}
	return nil
}

// takeOver clears away what other folders' dead clusters left, and fails when
// one of them lives.
func takeOver(s *steps.Steps, l layout.Layout) error {
	if other := livingOther(l); other != nil {
		return fmt.Errorf("the cluster of %s runs on this machine, and there is room for one; stop it with: axon-cluster down --dir %s", other.Dir, other.Dir)
	}
	if pid := foreignKubelet(); pid != 0 {
		return fmt.Errorf("another Kubernetes node runs on this machine (kubelet is process %d), whose network rules ours would break", pid)
	}
	for _, other := range othersOf(l) {
		name := "cleared the remains of the dead cluster of " + other.Dir + " away"
		if err := s.Do(name, (Cluster{Layout: other}).clean); err != nil {
			return err
		}
		other.RemoveLock()
	}
	return nil
}

// foreignKubelet is a kubelet that is not ours and shares our network, or 0.
// Those in containers, kind's for one, have networks of their own.
func foreignKubelet() int {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return 0
	}
	for _, pid := range proc.Pids() {
		dir := fmt.Sprintf("/proc/%d/", pid)
		name, _ := os.ReadFile(dir + "comm")
		theirs, _ := os.Readlink(dir + "ns/net")
		if strings.TrimSpace(string(name)) != "kubelet" || theirs != own || proc.Marked(pid, layout.Marker) {
			continue
		}
		return pid
	}
	return 0
}
