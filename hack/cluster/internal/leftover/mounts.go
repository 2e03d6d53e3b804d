// Package leftover finds and removes what a cluster leaves on the machine
// outside its processes: mounts, cgroups, sockets, links to logs.
package leftover

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/sys"
)

// Mounts are the mount points at or below the folders, innermost first.
func Mounts(dirs ...string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return mountsBelow(string(data), dirs), nil
}

// mountsBelow reads mountinfo, in which later lines are the inner mounts.
func mountsBelow(mountinfo string, dirs []string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape(fields[4])
		for _, dir := range dirs {
			if point == dir || strings.HasPrefix(point, dir+"/") {
				found = append(found, point)
				break
			}
		}
	}
	slices.Reverse(found)
	return found
}

// unescape undoes the octal escapes of mountinfo (space, tab, newline, backslash).
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// Unmount takes all mounts at or below the folders away, busy or not.
func Unmount(dirs ...string) error {
	// One mount point may carry several mounts, and taking one away may reveal another.
	for range 5 {
		mounts, err := Mounts(dirs...)
		if err != nil || len(mounts) == 0 {
			return err
		}
		for _, mount := range mounts {
			if err := sys.Detach(mount); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
				return fmt.Errorf("unmount %s: %w", mount, err)
			}
		}
	}
	return nil
}
