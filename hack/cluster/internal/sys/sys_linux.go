// Package sys holds the few calls that exist on Linux only, so that everything
// else compiles anywhere.
package sys

import "syscall"

// Detached gives a child a session of its own. A tied child is killed by the
// kernel when the thread that started it ends.
func Detached(tied bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true}
	if tied {
		attr.Pdeathsig = syscall.SIGKILL
	}
	return attr
}

// BindShared shows one folder under a second path, and lets mounts made below
// it be seen from containers.
func BindShared(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Mount("", to, "", syscall.MS_SHARED, "")
}

// Detach unmounts lazily: busy mounts disappear from view at once.
func Detach(path string) error {
	return syscall.Unmount(path, syscall.MNT_DETACH)
}
