package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
)

// Report is what was found out about one component.
type Report struct {
	Name    string
	ID      proc.ID
	Problem error
}

var (
	errNotRunning = errors.New("not running")
	errNotUp      = errors.New("the cluster is not up")
)

// Inspect asks every component how it is, all at once.
func (c Cluster) Inspect(ctx context.Context, state layout.State) ([]Report, error) {
	components, err := c.components(state)
	if err != nil {
		return nil, err
	}
	reports := make([]Report, len(components))
	var wg sync.WaitGroup
	for i, component := range components {
		wg.Add(1)
		go func() {
			defer wg.Done()
			report := Report{Name: component.Name}
			id, err := proc.Read(c.Layout.PidFile(component.Name))
			if err == nil {
				report.ID = id
			}
			if err != nil || !id.Alive() {
				report.Problem = errNotRunning
			} else if component.Ready != nil {
				probe, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				report.Problem = component.Ready(probe)
			}
			reports[i] = report
		}()
	}
	wg.Wait()
	return reports, nil
}

// Status prints a table of the components, and fails unless all are well.
func (c Cluster) Status(ctx context.Context, out io.Writer) error {
	state := c.Layout.Load()
	if !state.Complete {
		return errNotUp
	}
	reports, err := c.Inspect(ctx, state)
	if err != nil {
		return errNotUp
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "COMPONENT\tPID\tHEALTHY\tUPTIME\tRSS")
	var total int64
	for _, r := range reports {
		switch {
		case errors.Is(r.Problem, errNotRunning):
			fmt.Fprintf(w, "%s\t-\tno: %v\t-\t-\n", r.Name, r.Problem)
			err = errNotUp
			continue
		case r.Problem != nil:
			fmt.Fprintf(w, "%s\t%d\tno: %v", r.Name, r.ID.Pid, r.Problem)
			err = errNotUp
		default:
			fmt.Fprintf(w, "%s\t%d\tyes", r.Name, r.ID.Pid)
		}
		rss := r.ID.RSS()
		total += rss
		fmt.Fprintf(w, "\t%s\t%d MiB\n", r.ID.Uptime().Round(time.Second), rss>>20)
	}
	fmt.Fprintf(w, "\t\t\t\t%d MiB\n", total>>20)
	return errors.Join(w.Flush(), err)
}
