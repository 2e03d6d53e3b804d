package controlplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// clientFile and contextName turn a user name into a file name and a context name.
func clientFile(user string) string  { return "client-" + strings.ReplaceAll(user, ":", "-") }
func contextName(user string) string { return strings.ReplaceAll(user, ":", "-") }

// StartServer starts etcd and the API server and waits for both.
func (c Config) StartServer(ctx context.Context, s supervise.Supervisor) (*kubeapi.Client, error) {
	admin, err := c.Client()
	if err != nil {
		return nil, err
	}
	// The API server takes a second of its own before it asks etcd anything.
	return admin, StartAll(ctx, s, c.etcd(), c.apiServer(admin))
}

// StartControllers starts the controller manager, and waits until it works: the
// ServiceAccount of the default namespace is its first visible deed, and no pod
// can be created before.
func (c Config) StartControllers(ctx context.Context, s supervise.Supervisor, admin *kubeapi.Client) error {
	if err := StartAll(ctx, s, c.controllerManager()); err != nil {
		return err
	}
	for {
		err := admin.Get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		if err == nil {
			return nil
		}
		if !errors.Is(err, kubeapi.ErrNotFound) {
			return fmt.Errorf("wait for the default service account: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the default service account: %w", ctx.Err())
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// Components are the control plane's programs, for who wants to look at them.
func (c Config) Components() ([]supervise.Component, error) {
	admin, err := c.Client()
	if err != nil {
		return nil, err
	}
	return []supervise.Component{c.etcd(), c.apiServer(admin), c.controllerManager()}, nil
}

// StartAll starts components side by side and waits until each is healthy. The
// first failure ends the wait for the others.
func StartAll(ctx context.Context, s supervise.Supervisor, components ...supervise.Component) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(components))
	for _, component := range components {
		running, err := s.Start(component)
		if err != nil {
			return err
		}
		go func() { failed <- running.WaitReady(ctx) }()
	}
	for range components {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

// PortTaken says whether a component died because another program took its
// port between the choice and the start.
func PortTaken(err error) bool {
	var start *supervise.StartError
	return errors.As(err, &start) && strings.Contains(start.Log, "address already in use")
}
