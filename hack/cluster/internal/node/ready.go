package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
)

// nodeStatus is what WaitReady reads of a node.
type nodeStatus struct {
	Spec struct {
		Taints []struct{ Key, Effect string }
	}
	Status struct {
		Conditions []struct{ Type, Status, Message string }
	}
}

// notReady says why no pod would be placed on the node now, or is empty.
func (n nodeStatus) notReady() string {
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" && c.Status != "True" {
			return c.Message
		}
		if c.Type == "Ready" && len(n.Spec.Taints) > 0 {
			return "it has the taint " + n.Spec.Taints[0].Key
		}
		if c.Type == "Ready" {
			return ""
		}
	}
	return "it has not reported yet"
}

// WaitReady waits until pods can be placed on the node.
func WaitReady(ctx context.Context, admin *kubeapi.Client) error {
	for {
		var n nodeStatus
		reason := "it has not registered"
		err := admin.Get(ctx, "/api/v1/nodes/"+Name, &n)
		if err == nil {
			reason = n.notReady()
		} else if !errors.Is(err, kubeapi.ErrNotFound) {
			reason = err.Error()
		}
		if reason == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready: %s", reason)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
