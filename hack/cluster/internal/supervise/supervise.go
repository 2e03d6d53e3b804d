// Package supervise starts the components of a cluster, each detached in a
// session of its own with a pid file and a log, and waits until they are healthy.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/sys"
)

// Component is one program of the cluster.
type Component struct {
	// Name names the pid file and the log.
	Name string
	// Path is the program.
	Path string
	// Args are its arguments, without the program's name.
	Args []string
	// Env is added to our own environment.
	Env []string
	// Ready asks the component whether it works; nil means that living is enough.
	Ready func(context.Context) error
}

// Supervisor starts components of one state folder.
type Supervisor struct {
	Layout layout.Layout
	// Tied lets the kernel kill the components when we die, by whatever cause.
	Tied bool
}

// Running is a component that was started or found alive.
type Running struct {
	Component
	ID proc.ID
	// Started is false when the component was alive already.
	Started bool
	layout  layout.Layout
	exited  chan struct{}
	err     error
}

// Start starts the component unless it is alive.
func (s Supervisor) Start(c Component) (*Running, error) {
	r := &Running{Component: c, layout: s.Layout, exited: make(chan struct{})}
	if id, err := proc.Read(s.Layout.PidFile(c.Name)); err == nil && id.Alive() {
		r.ID = id
		return r, nil
	}
	log, err := os.OpenFile(s.Layout.Log(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(c.Path, c.Args...)
	// Relative names of sockets are relative to the data folder.
	cmd.Dir, cmd.Env = s.Layout.Path("data"), s.Layout.Environ(c.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = sys.Detached(s.Tied)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	id, err := proc.Identify(cmd.Process.Pid)
	if err == nil {
		err = layout.WriteFile(s.Layout.PidFile(c.Name), []byte(id.String()), 0o600)
	}
	if err != nil {
		// Without a pid file nobody could stop it later.
		cmd.Process.Kill()
		cmd.Wait()
		return nil, fmt.Errorf("record %s: %w", c.Name, err)
	}
	r.ID, r.Started = id, true
	go func() {
		r.err = cmd.Wait()
		close(r.exited)
	}()
	return r, nil
}

// Exited tells when a component that this process started has ended.
func (r *Running) Exited() <-chan struct{} { return r.exited }

// WaitReady returns when the component is healthy, has died, or time is up.
func (r *Running) WaitReady(ctx context.Context) error {
	var last error
	for {
		if r.Ready == nil {
			last = nil
		} else {
			probe, cancel := context.WithTimeout(ctx, 2*time.Second)
			last = r.Ready(probe)
			cancel()
		}
		if !r.ID.Alive() {
			return r.died()
		}
		if last == nil {
			return nil
		}
		select {
		case <-r.exited:
			return r.died()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("wait for %s: %w", r.Name, ctx.Err())
			}
			return &StartError{Name: r.Name, What: fmt.Sprintf("is not healthy in time: %v", last), Log: r.tail()}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (r *Running) died() error {
	what := "died"
	select {
	case <-r.exited:
		what = fmt.Sprintf("died at its start: %v", r.err)
	case <-time.After(time.Second):
	}
	return &StartError{Name: r.Name, What: what, Log: r.tail()}
}

// StartError says which component did not come up, with its last words.
type StartError struct {
	Name, What, Log string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("%s %s; end of its log:\n%s", e.Name, e.What, e.Log)
}

// IDs reads the pid files of the given components, or of all. Components
// without a readable pid file are left out: nothing is known to run for them.
func IDs(l layout.Layout, names ...string) []proc.ID {
	if len(names) == 0 {
		names = Names(l)
	}
	var ids []proc.ID
	for _, name := range names {
		if id, err := proc.Read(l.PidFile(name)); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// Names are the components that have a pid file.
func Names(l layout.Layout) []string {
	entries, err := os.ReadDir(l.Path("pids"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "list pid files: %v\n", err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// Interrupt is the set of signals on which a start is given up.
var Interrupt = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
