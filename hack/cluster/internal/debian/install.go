// Package debian installs what the cluster needs from the distribution, and
// reads how this machine reaches its package mirror.
package debian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/steps"
)

// Need is something that must be there, and the package that brings it.
type Need struct {
	// Package is the Debian package.
	Package string
	// Present says whether the thing is there, from whatever source.
	Present func() bool
}

// Command is a need for a program.
func Command(name, pkg string) Need {
	return Need{Package: pkg, Present: func() bool {
		_, err := exec.LookPath(name)
		return err == nil
	}}
}

// Missing are the packages of the needs that are not met.
func Missing(needs []Need) []string {
	var packages []string
	for _, need := range needs {
		if !need.Present() {
			packages = append(packages, need.Package)
		}
	}
	return packages
}

// Install installs the packages of unmet needs; without any it does nothing.
func Install(s *steps.Steps, needs []Need) error {
	packages := Missing(needs)
	if len(packages) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("these are missing, and there is no apt-get to install them: %s", strings.Join(packages, " "))
	}
	return s.Do("installed "+strings.Join(packages, " "), func() error { return install(packages, needs) })
}

func install(packages []string, needs []Need) error {
	// One unreachable source of many fails the update, and need not matter.
	updateErr := aptGet("update", "-qq")
	args := append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)
	if err := aptGet(args...); err != nil {
		return errors.Join(updateErr, err)
	}
	if still := Missing(needs); len(still) > 0 {
		return fmt.Errorf("still missing after their installation: %s", strings.Join(still, " "))
	}
	return nil
}

// aptGet waits for a package manager that is at work already.
func aptGet(args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, tail(string(out), 600))
	}
	return nil
}

func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-n):]
}
