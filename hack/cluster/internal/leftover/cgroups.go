package leftover

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
)

const cgroupMount = "/sys/fs/cgroup"

// CgroupDirs are the folders of one cgroup: one in every hierarchy of version
// 1, a single one in version 2.
func CgroupDirs(name string) []string {
	var dirs []string
	for _, pattern := range []string{filepath.Join(cgroupMount, name), filepath.Join(cgroupMount, "*", name)} {
		found, _ := filepath.Glob(pattern)
		for _, dir := range found {
			// cpu,cpuacct and the like are links to one hierarchy.
			if real, err := filepath.EvalSymlinks(dir); err == nil && !slices.Contains(dirs, real) {
				dirs = append(dirs, real)
			}
		}
	}
	return dirs
}

// MakeCgroup makes the cgroup in every hierarchy.
func MakeCgroup(name string) error {
	parents := []string{cgroupMount}
	if _, err := os.Stat(filepath.Join(cgroupMount, "cgroup.controllers")); err != nil {
		parents, _ = filepath.Glob(filepath.Join(cgroupMount, "*"))
	} else {
		// A child has the controllers that its parent hands down. One the kernel does
		// not have is the kubelet's to complain about.
		for _, controller := range []string{"+cpu", "+cpuset", "+memory", "+pids"} {
			_ = os.WriteFile(filepath.Join(cgroupMount, "cgroup.subtree_control"), []byte(controller), 0)
		}
	}
	for _, parent := range parents {
		if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
			continue
		}
		if err := os.Mkdir(filepath.Join(parent, name), 0o755); err != nil && !os.IsExist(err) {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return nil
}

// KillCgroup kills every process in the cgroup and below.
func KillCgroup(name string) error {
	for range 5 {
		var ids []proc.ID
		for _, pid := range cgroupPids(name) {
			if id, err := proc.Identify(pid); err == nil {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		if err := proc.Kill(ids...); err != nil {
			return fmt.Errorf("kill pods: %w", err)
		}
	}
	return nil
}

func cgroupPids(name string) []int {
	var pids []int
	for _, dir := range CgroupDirs(name) {
		filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.Name() != "cgroup.procs" {
				return nil
			}
			data, _ := os.ReadFile(path)
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil && pid > 1 && !slices.Contains(pids, pid) {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}

// RemoveCgroup removes the empty cgroup, the innermost folders first.
func RemoveCgroup(name string) error {
	for _, dir := range CgroupDirs(name) {
		var dirs []string
		filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		slices.Reverse(dirs)
		for _, dir := range dirs {
			if err := removeSoon(dir); err != nil {
				return fmt.Errorf("remove cgroup: %w", err)
			}
		}
	}
	return nil
}

// removeSoon repeats: the kernel lets go of a dead process's cgroup a moment later.
func removeSoon(dir string) error {
	var err error
	for range 50 {
		if err = os.Remove(dir); err == nil || os.IsNotExist(err) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}
