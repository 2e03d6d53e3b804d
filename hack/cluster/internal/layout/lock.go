package layout

import (
	"fmt"
	"os"
	"syscall"
)

const lockFile = ".lock"

// Lock keeps other calls on the same folder out until the returned function is
// called. The kernel drops the lock when its holder dies. The lock file goes with
// the last state: who waited for a file that is gone starts over with a new one.
func (l Layout) Lock() (func(), error) {
	for {
		f, err := l.lockOnce()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", l.Dir, err)
		}
		if f != nil {
			return func() { l.unlock(f) }, nil
		}
	}
}

// lockOnce returns no file when the lock it got is no longer the folder's.
func (l Layout) lockOnce() (*os.File, error) {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.Path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		fmt.Fprintf(os.Stderr, "waiting for another axon-cluster on %s\n", l.Dir)
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
	}
	held, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Stat(l.Path(lockFile)); err == nil && os.SameFile(held, now) {
			return f, nil
		}
	}
	f.Close()
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return nil, nil
}

// RemoveLock removes the lock file of a folder that nobody uses any more.
func (l Layout) RemoveLock() {
	os.Remove(l.Path(lockFile))
	os.Remove(l.Dir) // fails, as it should, when something is left in it
}

// unlock leaves no trace in a folder without state.
func (l Layout) unlock(f *os.File) {
	if l.Empty() {
		l.RemoveLock()
	}
	f.Close()
}
