package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/debian"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/image"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/leftover"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/node"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/pki"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/ports"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/preflight"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/proc"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/steps"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

const (
	startLimit = 90 * time.Second
	startTries = 3
)

// Up brings the cluster up. A healthy cluster is left alone; one with dead
// components gets these back with its data; anything else is cleared away first.
func (c Cluster) Up(ctx context.Context) error {
	if err := preflight.Check(); err != nil {
		return err
	}
	unlock, err := c.Layout.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	s := steps.New(c.Progress)
	state := c.Layout.Load()
	alive := state.Complete && state.Boot == proc.Boot()
	if alive && state.Egress != c.Egress {
		return fmt.Errorf("the cluster in %s was brought up with other rules for traffic beyond this machine: "+
			"`make cluster-down` first", c.Layout.Dir)
	}
	if alive && c.unhealthy(ctx, state) == nil {
		s.Say("the cluster in %s is up already (%.1f s)", c.Layout.Dir, s.Total().Seconds())
		return nil
	}
	if err := debian.Install(s, needs()); err != nil {
		return err
	}
	if !alive {
		if err := c.clear(s); err != nil {
			return err
		}
		state = layout.State{Boot: proc.Boot(), Ports: map[string]int{}, Egress: c.Egress}
	}
	for try := 1; ; try++ {
		err = c.start(ctx, s, &state)
		if err == nil || alive || try == startTries || !controlplane.PortTaken(err) {
			break
		}
		s.Say("a port was taken meanwhile, starting again with others")
		if err := c.clean(); err != nil {
			return err
		}
		state = layout.State{Boot: proc.Boot(), Ports: map[string]int{}, Egress: c.Egress}
	}
	if err != nil {
		err = fmt.Errorf("start the cluster (logs are in %s): %w", c.Layout.Path("logs"), err)
		if !alive {
			// A failed start leaves files to look at, but nothing running.
			err = errors.Join(err, proc.Kill(supervise.IDs(c.Layout)...))
		}
		return err
	}
	s.Say("the cluster is up after %.1f s: export KUBECONFIG=%s", s.Total().Seconds(), c.Layout.Kubeconfig())
	return nil
}

// clear removes what is left of a dead cluster, this folder's or another's.
func (c Cluster) clear(s *steps.Steps) error {
	if err := takeOver(s, c.Layout); err != nil {
		return err
	}
	if !c.Layout.Empty() || len(network.Links()) > 0 {
		if err := s.Do("cleared the remains of an earlier cluster away", c.clean); err != nil {
			return err
		}
	}
	return network.CheckFree(controlplane.ServiceCIDR)
}

// start starts everything that does not run.
func (c Cluster) start(ctx context.Context, s *steps.Steps, state *layout.State) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.Do("links, rules and configuration", func() error { return c.prepare(state) }); err != nil {
		return err
	}
	supervisor := supervise.Supervisor{Layout: c.Layout}
	config := c.config(*state)
	runtime := make(chan error, 1)
	go func() {
		runtime <- s.Do("containerd, with the pause image", func() error { return c.startRuntime(ctx, supervisor) })
	}()
	var admin *kubeapi.Client
	err := s.Do("etcd and kube-apiserver", func() (err error) {
		if admin, err = config.StartServer(ctx, supervisor); err != nil {
			return err
		}
		return node.GrantDNS(ctx, admin)
	})
	if err = errors.Join(err, <-runtime); err != nil {
		return err
	}
	controllers := make(chan error, 1)
	go func() {
		controllers <- s.Do("kube-controller-manager", func() error { return config.StartControllers(ctx, supervisor, admin) })
	}()
	err = s.Do("kube-scheduler, kubelet, kube-proxy, coredns", func() error {
		return controlplane.StartAll(ctx, supervisor, c.clients(*state)...)
	})
	if err = errors.Join(err, <-controllers); err != nil {
		return err
	}
	if err := s.Do("node ready", func() error { return node.WaitReady(ctx, admin) }); err != nil {
		return err
	}
	state.Complete = true
	return c.Layout.Save(*state)
}

// prepare makes everything the components need to find. The claim comes before
// the first change to the machine, so that `down` knows what to undo.
func (c Cluster) prepare(state *layout.State) error {
	l := c.Layout
	for _, step := range []func() error{l.LinkBinaries, l.Make, func() error { return claim(l) }} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := network.MakeNodeLink(); err != nil {
		return fmt.Errorf("make the node's bridge: %w", err)
	}
	if err := network.SetSysctls(filepath.Join(l.Run(), sysctlFile)); err != nil {
		return err
	}
	if state.Ports[controlplane.APIServer] == 0 {
		state.Ports[controlplane.APIServer] = apiPort
	}
	portsErr := ports.Free(controlplane.Loopback, state.Ports, append(node.Ports, controlplane.ControllerManager)...)
	if err := errors.Join(l.Save(*state), portsErr); err != nil {
		return err
	}
	if err := errors.Join(network.Fence(state.Egress), leftover.MakeCgroup(node.Cgroup(l)), node.MountShort(l)); err != nil {
		return err
	}
	if state.Complete {
		return nil // a repair: everything is written
	}
	ca, err := pki.Open(l.Path("certs"))
	if err != nil {
		return err
	}
	config := c.config(*state)
	return errors.Join(node.WriteConfig(config, ca, state.Egress), node.WriteContainerdConfig(l), config.WriteCredentials(ca))
}

func (c Cluster) startRuntime(ctx context.Context, s supervise.Supervisor) error {
	if err := controlplane.StartAll(ctx, s, node.ContainerdComponent(c.Layout)); err != nil {
		return err
	}
	program := c.Layout.Binary("pause")
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("there is no %s: build it with `make cluster-binaries`", program)
	}
	archive := filepath.Join(node.DataDir(c.Layout), "pause.tar")
	if err := image.SingleBinary(archive, node.PauseImage, program, "65535:65535"); err != nil {
		return err
	}
	_, err := image.Load(ctx, node.Socket(c.Layout), archive)
	return err
}

// unhealthy names the first component that does not work.
func (c Cluster) unhealthy(ctx context.Context, state layout.State) error {
	reports, err := c.Inspect(ctx, state)
	if err != nil {
		return err
	}
	for _, report := range reports {
		if report.Problem != nil {
			return fmt.Errorf("%s: %w", report.Name, report.Problem)
		}
	}
	return nil
}
