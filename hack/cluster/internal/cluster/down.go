package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/leftover"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/node"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/steps"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// Down takes the cluster down and removes its state; all removes the binaries
// and caches as well.
func (c Cluster) Down(all bool) error {
	if _, err := os.Stat(c.Layout.Dir); errors.Is(err, os.ErrNotExist) && !c.claimed() {
		fmt.Fprintf(c.Progress, "there is no cluster in %s\n", c.Layout.Dir)
		return nil
	}
	unlock, err := c.Layout.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	s := steps.New(c.Progress)
	if err := s.Do("everything is stopped and removed", c.clean); err != nil {
		return err
	}
	if all {
		if err := os.RemoveAll(c.Layout.Dir); err != nil {
			return fmt.Errorf("remove %s: %w", c.Layout.Dir, err)
		}
	}
	return nil
}

// clean ends every process of the cluster, undoes every change to the machine
// and removes the state. It works on any mixture of remains, and goes on after a
// failure, so that a second call has less to do.
func (c Cluster) clean() error {
	l := c.Layout
	claimed := c.claimed()
	// The components go first, so that nothing starts a pod again.
	err := errors.Join(
		proc.Kill(supervise.IDs(l)...),
		proc.Kill(proc.WithEnv(layout.Marker, l.Dir)...), // the shims, and who has lost its pid file
		leftover.KillCgroup(node.Cgroup(l)),
		leftover.Unmount(l.Run(), l.Path("data")),
	)
	if err != nil {
		// What still runs or is mounted would be damaged by removing files under it.
		return fmt.Errorf("stop the cluster: %w", err)
	}
	err = errors.Join(leftover.RemoveCgroup(node.Cgroup(l)), network.RestoreSysctls(filepath.Join(l.Run(), sysctlFile)))
	if claimed {
		err = errors.Join(err, network.RemoveLinks(), network.RemoveRules())
	}
	leftover.RemoveStray(node.NetworkName, l.Run(), l.Dir)
	err = errors.Join(err, l.Remove(), os.RemoveAll(l.Run()))
	return errors.Join(err, c.verify(claimed))
}

// verify looks for anything that clean should have removed.
func (c Cluster) verify(claimed bool) error {
	l := c.Layout
	var left []string
	for _, id := range proc.WithEnv(layout.Marker, l.Dir) {
		left = append(left, fmt.Sprintf("process %d", id.Pid))
	}
	mounts, err := leftover.Mounts(l.Run(), l.Path("data"))
	if err != nil {
		return err
	}
	for _, mount := range mounts {
		left = append(left, "mount "+mount)
	}
	for _, dir := range leftover.CgroupDirs(node.Cgroup(l)) {
		left = append(left, "cgroup "+dir)
	}
	if claimed {
		for _, link := range network.Links() {
			left = append(left, "link "+link)
		}
		rules, err := network.Rules()
		if err != nil {
			return err
		}
		if rules != "" {
			left = append(left, "packet filter rules")
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("these are left of the cluster: %s", strings.Join(left, ", "))
	}
	return nil
}
