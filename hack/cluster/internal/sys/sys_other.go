//go:build !linux

package sys

import (
	"errors"
	"syscall"
)

var errLinuxOnly = errors.New("only Linux can do this")

// Detached gives a child a session of its own.
func Detached(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// BindShared fails: there are no bind mounts here.
func BindShared(_, _ string) error { return errLinuxOnly }

// Detach fails: there are no lazy unmounts here.
func Detach(string) error { return errLinuxOnly }
