package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/pki"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/ports"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// The controllers that matter without nodes; the others cost start-up time.
const bareControllers = "job-controller,cronjob-controller,ttl-after-finished-controller,garbage-collector-controller," +
	"namespace-controller,serviceaccount-controller,serviceaccount-token-controller,resourcequota-controller," +
	"root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,deployment-controller,replicaset-controller"

const (
	startLimit = 60 * time.Second
	stopGrace  = 5 * time.Second
	portTries  = 3
)

// Options are how to run a bare control plane.
type Options struct {
	Layout layout.Layout
	// Port fixes the API server's port; 0 picks a free one.
	Port int
	// APIServerFlags are added to the API server's.
	APIServerFlags []string
	// Tied makes the kernel kill the components when this process dies.
	Tied bool
	// Progress gets messages for people.
	Progress io.Writer
}

// Up brings the control plane up, or repairs it, and returns when it works.
func Up(ctx context.Context, o Options) error {
	unlock, err := o.Layout.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	began := time.Now()
	state := o.Layout.Load()
	if !state.Complete || state.Boot != proc.Boot() {
		if err := clean(o.Layout); err != nil {
			return err
		}
		state = layout.State{Boot: proc.Boot(), Ports: map[string]int{}}
	}
	for try := 1; ; try++ {
		err = start(ctx, o, &state)
		if err == nil || try == portTries || o.Port != 0 || state.Complete || !PortTaken(err) {
			break
		}
		fmt.Fprintf(o.Progress, "a port was taken meanwhile, trying others\n")
		if err := clean(o.Layout); err != nil {
			return err
		}
		state.Ports = map[string]int{}
	}
	if err != nil {
		if !state.Complete {
			// A failed start leaves files to look at, but nothing running.
			err = errors.Join(err, proc.Kill(supervise.IDs(o.Layout)...))
		}
		return err
	}
	fmt.Fprintf(o.Progress, "control plane in %s is ready after %.1f s\n", o.Layout.Dir, time.Since(began).Seconds())
	return nil
}

func start(ctx context.Context, o Options, state *layout.State) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := o.Layout.LinkBinaries(); err != nil {
		return err
	}
	if err := o.Layout.Make(); err != nil {
		return err
	}
	if o.Port != 0 && !state.Complete {
		state.Ports[APIServer] = o.Port
	}
	if err := ports.Free(Loopback, state.Ports, APIServer, ControllerManager); err != nil {
		return err
	}
	c := bareConfig(o.Layout, state.Ports)
	c.APIServerFlags = append(c.APIServerFlags, o.APIServerFlags...)
	if !state.Complete {
		ca, err := pki.Open(o.Layout.Path("certs"))
		if err != nil {
			return err
		}
		if err := c.WriteCredentials(ca); err != nil {
			return err
		}
		if err := layout.WriteFile(o.Layout.Config("audit.yaml"), []byte(auditPolicy), 0o600); err != nil {
			return err
		}
	}
	s := supervise.Supervisor{Layout: o.Layout, Tied: o.Tied}
	admin, err := c.StartServer(ctx, s)
	if err != nil {
		return err
	}
	if err := c.StartControllers(ctx, s, admin); err != nil {
		return err
	}
	state.Complete = true
	return o.Layout.Save(*state)
}

func bareConfig(l layout.Layout, chosen map[string]int) Config {
	return Config{
		Layout: l, Address: Loopback, Ports: chosen, Controllers: bareControllers,
		// There is no address that a pod could use.
		APIServerFlags: []string{
			"--endpoint-reconciler-type=none",
			"--audit-policy-file=" + l.Config("audit.yaml"), "--audit-log-path=" + l.Log("audit"),
		},
	}
}

// auditPolicy records who reads and writes what gives rights, and who makes Tasks; the rest would only cost time.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver]
- level: None
  userGroups: [system:masters, system:serviceaccounts:kube-system]
- level: Metadata
  resources:
  - group: ""
    resources: [secrets, serviceaccounts]
  - group: rbac.authorization.k8s.io
    resources: [rolebindings]
- level: Metadata
  verbs: [create]
  resources:
  - group: axon.io
    resources: [tasks]
- level: None
`

// Down ends the control plane and removes its state.
func Down(l layout.Layout) error {
	if l.Empty() {
		return nil
	}
	unlock, err := l.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	return clean(l)
}

// clean ends everything that was started for the folder and removes its state.
func clean(l layout.Layout) error {
	ids := append(supervise.IDs(l, ControllerManager, APIServer), proc.WithEnv(layout.Marker, l.Dir)...)
	// etcd ends only when its clients have: stop it with them, not gently.
	if err := proc.Kill(append(ids, supervise.IDs(l, Etcd)...)...); err != nil {
		return fmt.Errorf("stop control plane: %w", err)
	}
	return l.Remove()
}
