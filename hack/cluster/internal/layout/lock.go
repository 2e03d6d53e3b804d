package layout

import (
	"fmt"
	"os"
	"syscall"
)

const lockFile = ".lock"

// Lock keeps other calls on the same folder out until the returned function is
// called. The kernel drops the lock when its holder dies.
func (l Layout) Lock() (func(), error) {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	f, err := os.OpenFile(l.Path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintf(os.Stderr, "waiting for another axon-cluster on %s\n", l.Dir)
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", l.Dir, err)
		}
	}
	return func() { f.Close() }, nil
}
