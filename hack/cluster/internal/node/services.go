package node

import (
	"fmt"
	"net"
	"strconv"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// SchedulerComponent places pods on the node.
func SchedulerComponent(l layout.Layout, ports map[string]int) supervise.Component {
	return supervise.Component{
		Name: Scheduler, Path: l.Binary(Scheduler),
		Args: append([]string{
			"--kubeconfig=" + l.Config("kube-scheduler.kubeconfig"), "--leader-elect=false",
			"--bind-address=" + controlplane.Loopback, "--secure-port=" + strconv.Itoa(ports[Scheduler]),
			"--tls-cert-file=" + l.Cert("loopback.crt"), "--tls-private-key-file=" + l.Cert("loopback.key"),
			"--profiling=false",
		}, controlplane.FastClient()...),
		Ready: controlplane.LoopbackHealth(ports[Scheduler], "https", "/healthz"),
	}
}

// KubeProxyComponent makes Services reachable. It must not touch the machine's
// connection tracking limits, and opens node ports on the node's bridge only.
func KubeProxyComponent(l layout.Layout, ports map[string]int) supervise.Component {
	args := []string{
		"--kubeconfig=" + l.Config("kube-proxy.kubeconfig"), "--hostname-override=" + Name,
		"--proxy-mode=iptables", "--cluster-cidr=" + network.PodCIDR,
		"--conntrack-max-per-core=0", "--conntrack-min=0",
		"--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		"--nodeport-addresses=" + network.NodeAddress + "/32", "--iptables-localhost-nodeports=false",
		"--healthz-bind-address=" + loopback(ports[KubeProxy]),
		"--metrics-bind-address=" + loopback(ports[KubeProxy+"-metrics"]),
	}
	if network.MasqueradeAll() {
		args = append(args, "--masquerade-all")
	}
	return supervise.Component{
		Name: KubeProxy, Path: l.Binary(KubeProxy), Args: args,
		Ready: controlplane.LoopbackHealth(ports[KubeProxy], "http", "/healthz"),
	}
}

// CoreDNSComponent is the pods' name server.
func CoreDNSComponent(l layout.Layout, ports map[string]int) supervise.Component {
	return supervise.Component{
		Name: CoreDNS, Path: l.Binary(CoreDNS), Args: []string{"-conf", l.Config("Corefile")},
		Ready: controlplane.LoopbackHealth(ports[CoreDNS], "http", "/ready"),
	}
}

// corefile renders the name server's configuration. Without egress, names outside
// the cluster do not exist: nothing is asked elsewhere, and the answer comes at
// once. With it, the machine's own name servers are asked.
func corefile(l layout.Layout, readyPort int, egress bool) string {
	outside := `template ANY ANY . {
        rcode NXDOMAIN
    }`
	if egress {
		outside = "forward . /etc/resolv.conf"
	}
	return fmt.Sprintf(`.:53 {
    bind %s
    ready %s
    errors
    cache 5
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %q
        pods insecure
        ttl 5
    }
    %s
}
`, network.NodeAddress, loopback(readyPort), l.Config("coredns.kubeconfig"), outside)
}

func loopback(port int) string {
	return net.JoinHostPort(controlplane.Loopback, strconv.Itoa(port))
}
