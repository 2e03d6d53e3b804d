package supervise

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
)

func newSupervisor(t *testing.T) Supervisor {
	t.Helper()
	l, err := layout.New(t.TempDir(), "/bin")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Make(); err != nil {
		t.Fatal(err)
	}
	return Supervisor{Layout: l, Tied: true}
}

func TestADeathAtTheStartIsReportedAtOnceWithTheLog(t *testing.T) {
	s := newSupervisor(t)
	never := func(context.Context) error { return errors.New("not yet") }
	r, err := s.Start(Component{Name: "x", Path: "/bin/sh", Args: []string{"-c", "echo no such flag >&2; exit 3"}, Ready: never})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	err = r.WaitReady(ctx)
	if err == nil || !strings.Contains(err.Error(), "x died at its start: exit status 3") || !strings.Contains(err.Error(), "no such flag") {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("reported after %s", took)
	}
}

func TestALivingComponentIsNotStartedTwice(t *testing.T) {
	s := newSupervisor(t)
	c := Component{Name: "x", Path: "/bin/sh", Args: []string{"-c", "sleep 60"}}
	first, err := s.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer proc.Kill(first.ID)
	second, err := s.Start(c)
	if err != nil || second.Started || second.ID != first.ID {
		t.Fatalf("got %+v, %v", second, err)
	}
}

func TestAStalePidFileDoesNotCountAsAlive(t *testing.T) {
	s := newSupervisor(t)
	other := proc.ID{Pid: os.Getpid(), Start: 1, Boot: proc.Boot()}
	if err := os.WriteFile(s.Layout.PidFile("x"), []byte(other.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := s.Start(Component{Name: "x", Path: "/bin/sh", Args: []string{"-c", "sleep 60"}})
	if err != nil || !r.Started {
		t.Fatalf("got %+v, %v", r, err)
	}
	proc.Kill(r.ID)
}
