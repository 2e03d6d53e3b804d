// Package steps tells people what is being done and how long it took.
package steps

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Steps prints one line for each finished step.
type Steps struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

// New starts the clock.
func New(out io.Writer) *Steps { return &Steps{out: out, began: time.Now()} }

// Do runs a step; steps may run side by side.
func (s *Steps) Do(name string, step func() error) error {
	began := time.Now()
	if err := step(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "  %5.1f s  %s\n", time.Since(began).Seconds(), name)
	return nil
}

// Say prints a line of its own.
func (s *Steps) Say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// Total is the time since New.
func (s *Steps) Total() time.Duration { return time.Since(s.began) }
