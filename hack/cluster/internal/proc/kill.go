package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Signal sends a signal to exactly this process. The handle is opened before
// the identity is checked, so the pid cannot change hands in between.
func (id ID) Signal(sig syscall.Signal) error {
	p, err := os.FindProcess(id.Pid)
	if err != nil {
		return nil
	}
	defer p.Release()
	if !id.Alive() {
		return nil
	}
	if err := p.Signal(sig); err != nil && id.Alive() {
		return fmt.Errorf("send %s to process %d: %w", sig, id.Pid, err)
	}
	return nil
}

// Stop asks the processes to end, and after the grace period makes them.
func Stop(grace time.Duration, ids ...ID) error {
	for _, id := range ids {
		if err := id.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	}
	if waitDead(grace, ids) {
		return nil
	}
	return Kill(ids...)
}

// Kill ends the processes at once and waits until they are gone.
func Kill(ids ...ID) error {
	for _, id := range ids {
		if err := id.Signal(syscall.SIGKILL); err != nil {
			return err
		}
	}
	if !waitDead(10*time.Second, ids) {
		return fmt.Errorf("processes are still there 10 s after SIGKILL: %v", alive(ids))
	}
	return nil
}

func waitDead(limit time.Duration, ids []ID) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if len(alive(ids)) == 0 {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func alive(ids []ID) []int {
	var pids []int
	for _, id := range ids {
		if id.Alive() {
			pids = append(pids, id.Pid)
		}
	}
	return pids
}

// Pids are all processes of the machine.
func Pids() []int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// WithEnv finds the live processes whose environment has exactly this setting,
// ourselves left out.
func WithEnv(name, value string) []ID {
	want := []byte(name + "=" + value)
	var ids []ID
	for _, pid := range Pids() {
		if pid == os.Getpid() {
			continue
		}
		// Identify first: if the pid changes hands in between, Signal notices.
		id, err := Identify(pid)
		if err != nil || !hasEnv(Environ(pid), want) || !id.Alive() {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// Environ is the environment a process was started with.
func Environ(pid int) [][]byte {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil
	}
	return bytes.Split(data, []byte{0})
}

// Marked says whether a process was started with the variable set, to anything.
func Marked(pid int, name string) bool {
	for _, entry := range Environ(pid) {
		if bytes.HasPrefix(entry, []byte(name+"=")) {
			return true
		}
	}
	return false
}

func hasEnv(env [][]byte, want []byte) bool {
	for _, entry := range env {
		if bytes.Equal(entry, want) {
			return true
		}
	}
	return false
}
