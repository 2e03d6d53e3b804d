// Package cluster brings the whole cluster up, looks at it, and takes it down:
// the control plane plus one node on this machine.
package cluster

import (
	"io"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/debian"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/node"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// Cluster is the cluster of one state folder.
type Cluster struct {
	Layout layout.Layout
	// Progress gets messages for people.
	Progress io.Writer
	// Egress lets pods reach beyond this machine.
	Egress bool
}

// apiPort is the API server's port on the node's bridge, where nobody else listens.
const apiPort = 6443

func (c Cluster) config(state layout.State) controlplane.Config {
	return controlplane.Config{
		Layout: c.Layout, Address: network.NodeAddress, Ports: state.Ports,
		APIServerFlags: node.APIServerFlags(c.Layout),
	}
}

// components are all components, in the order in which they start.
func (c Cluster) components(state layout.State) ([]supervise.Component, error) {
	control, err := c.config(state).Components()
	if err != nil {
		return nil, err
	}
	return append(append(control, node.ContainerdComponent(c.Layout)), c.clients(state)...), nil
}

// clients are the node's components that talk to the API server.
func (c Cluster) clients(state layout.State) []supervise.Component {
	l, ports := c.Layout, state.Ports
	return []supervise.Component{
		node.SchedulerComponent(l, ports), node.KubeletComponent(l, ports),
		node.KubeProxyComponent(l, ports), node.CoreDNSComponent(l, ports),
	}
}

// needs are the programs of the distribution that a node uses.
func needs() []debian.Need {
	return []debian.Need{
		debian.Command("containerd", "containerd"),
		debian.Command("ctr", "containerd"),
		debian.Command("runc", "runc"),
		{Package: "containernetworking-plugins", Present: func() bool { return node.CNIDir() != "" }},
		debian.Command("iptables", "iptables"),
		debian.Command("ip", "iproute2"),
		debian.Command("mount", "mount"),
	}
}
