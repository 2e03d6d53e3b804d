// Package preflight finds out whether this machine can run a node at all.
package preflight

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// Unsupported lists what the machine lacks, and what to do instead.
type Unsupported []string

func (u Unsupported) Error() string {
	return fmt.Sprintf("this machine cannot run the local cluster: %s.\n"+
		"Use another cluster instead:\n"+
		"  make demo CLUSTER=existing KUBECONFIG=... REGISTRY=...   any cluster you can push images to\n"+
		"  make demo CLUSTER=kind                                   a kind cluster, which needs Docker",
		strings.Join(u, "; "))
}

// The capabilities without which neither mounts nor links can be made.
var capabilities = map[string]uint{"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}

// Check returns Unsupported unless a node can run here.
func Check() error {
	if runtime.GOOS != "linux" {
		return Unsupported{"it runs " + runtime.GOOS + ", not Linux"}
	}
	if os.Geteuid() != 0 {
		return Unsupported{"you are not root"}
	}
	// Where the kernel has modules, these may not be loaded yet; elsewhere this fails harmlessly.
	for _, module := range []string{"overlay", "br_netfilter", "bridge"} {
		_ = exec.Command("modprobe", "-q", module).Run()
	}
	var missing Unsupported
	status, _ := os.ReadFile("/proc/self/status")
	for name, bit := range capabilities {
		if !hasCapability(string(status), bit) {
			missing = append(missing, "root has no "+name+" (in a container?)")
		}
	}
	filesystems, _ := os.ReadFile("/proc/filesystems")
	if !strings.Contains(string(filesystems), "\toverlay\n") {
		missing = append(missing, "its kernel has no overlay file system")
	}
	for _, controller := range []string{"cpu", "memory", "pids"} {
		if !hasController(controller) {
			missing = append(missing, "its kernel offers no "+controller+" cgroup")
		}
	}
	if len(missing) > 0 {
		return missing
	}
	return nil
}

// hasCapability looks for one bit of the effective set in /proc/PID/status.
func hasCapability(status string, bit uint) bool {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
			return err == nil && set&(1<<bit) != 0
		}
	}
	return false
}

// hasController knows both versions of the cgroup hierarchy.
func hasController(name string) bool {
	const mount = "/sys/fs/cgroup"
	if data, err := os.ReadFile(filepath.Join(mount, "cgroup.controllers")); err == nil {
		for _, controller := range strings.Fields(string(data)) {
			if controller == name {
				return true
			}
		}
		return false
	}
	_, err := os.Stat(filepath.Join(mount, name))
	return err == nil
}
