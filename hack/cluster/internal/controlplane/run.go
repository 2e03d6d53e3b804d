package controlplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
)

// Run brings the control plane up, calls ready, and keeps it until ctx is done,
// the parent dies or, when parent is 0, stdin closes. Then nothing is left.
//
// The components are tied to this thread as well: killing this very process
// takes them along, whatever the signal.
func Run(ctx context.Context, o Options, parent int, stdin io.Reader, ready func()) error {
	runtime.LockOSThread()
	o.Tied = true
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if parent != 0 {
		id, err := proc.Identify(parent)
		if err != nil {
			return fmt.Errorf("watch parent: %w", err)
		}
		go watchParent(ctx, id, cancel)
	} else {
		go func() {
			io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	err := Up(ctx, o)
	if err == nil {
		ready()
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		err = nil // asked to stop, perhaps while starting
	}
	if downErr := Down(o.Layout); downErr != nil && err == nil {
		err = downErr
	}
	return err
}

func watchParent(ctx context.Context, parent proc.ID, gone func()) {
	for parent.Alive() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	fmt.Fprintf(os.Stderr, "parent process %d is gone, stopping the control plane\n", parent.Pid)
	gone()
}
