// Package controlplane runs etcd, kube-apiserver and kube-controller-manager:
// an API that behaves like a real cluster's, with no node behind it.
package controlplane

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// Names of the components, as in pid files and logs.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
)

// ServiceCIDR is the range of Service addresses; its first is the API server's.
const (
	ServiceCIDR    = "10.96.0.0/16"
	serviceAddress = "10.96.0.1"
)

// Loopback is where everything listens that pods need not reach.
const Loopback = "127.0.0.1"

// The defaults (20 requests a second) would make the controllers the
// bottleneck of any load test.
var fastClient = []string{"--kube-api-qps=2000", "--kube-api-burst=4000"}

// FastClient are the flags that lift a component's own request limits.
func FastClient() []string { return append([]string(nil), fastClient...) }

// Config is what differs between a bare control plane and a full cluster.
type Config struct {
	Layout layout.Layout
	// Address is where the API server listens.
	Address string
	// Ports are the chosen ports, by component.
	Ports map[string]int
	// APIServerFlags are added to the API server's.
	APIServerFlags []string
	// Controllers is the value of --controllers; empty means the default set.
	Controllers string
}

// Server is the API server's URL.
func (c Config) Server() string {
	return "https://" + net.JoinHostPort(c.Address, strconv.Itoa(c.Ports[APIServer]))
}

// etcd listens on sockets with relative names: no port to collide on, no
// reach for pods or other users, and no limit on the folder's path length. The
// number after the name only satisfies etcd's syntax check.
const (
	etcdSocket = "etcd.sock"
	etcdClient = "unix://" + etcdSocket
	etcdPeer   = "unix://etcd-peer.sock:1"
)

func (c Config) etcd() supervise.Component {
	return supervise.Component{
		Name: Etcd, Path: c.Layout.Binary(Etcd),
		Args: []string{
			"--name=axon", "--data-dir=" + c.Layout.Path("data", "etcd"),
			"--listen-client-urls=" + etcdClient, "--advertise-client-urls=" + etcdClient + ":1",
			"--listen-peer-urls=" + etcdPeer, "--initial-advertise-peer-urls=" + etcdPeer, "--initial-cluster=axon=" + etcdPeer,
			// The data need not survive the machine.
			"--unsafe-no-fsync", "--log-level=warn",
		},
		Ready: c.etcdHealthy,
	}
}

// etcdHealthy asks etcd over its socket, reached through an open folder so that
// the path stays short.
func (c Config) etcdHealthy(ctx context.Context) error {
	dir, err := os.Open(c.Layout.Path("data"))
	if err != nil {
		return err
	}
	defer dir.Close()
	socket := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), etcdSocket)
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}
	return CheckHTTP(ctx, client, "http://etcd/health")
}

func (c Config) apiServer(admin *kubeapi.Client) supervise.Component {
	l := c.Layout
	return supervise.Component{
		Name: APIServer, Path: l.Binary(APIServer),
		Args: append([]string{
			"--bind-address=" + c.Address, "--advertise-address=" + c.Address, "--secure-port=" + strconv.Itoa(c.Ports[APIServer]),
			"--etcd-servers=" + etcdClient,
			"--authorization-mode=Node,RBAC", "--allow-privileged=true",
			"--client-ca-file=" + l.Cert("ca.crt"), "--tls-cert-file=" + l.Cert("apiserver.crt"), "--tls-private-key-file=" + l.Cert("apiserver.key"),
			"--service-cluster-ip-range=" + ServiceCIDR,
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + l.Cert("sa.pub"), "--service-account-signing-key-file=" + l.Cert("sa.key"),
			"--profiling=false",
		}, c.APIServerFlags...),
		Ready: func(ctx context.Context) error { return admin.Get(ctx, "/readyz", nil) },
	}
}

func (c Config) controllerManager() supervise.Component {
	l := c.Layout
	return supervise.Component{
		Name: ControllerManager, Path: l.Binary(ControllerManager),
		Args: append([]string{
			"--kubeconfig=" + l.Config("kube-controller-manager.kubeconfig"),
			"--bind-address=" + Loopback, "--secure-port=" + strconv.Itoa(c.Ports[ControllerManager]),
			"--tls-cert-file=" + l.Cert("loopback.crt"), "--tls-private-key-file=" + l.Cert("loopback.key"),
			"--leader-elect=false", "--use-service-account-credentials=true",
			"--service-account-private-key-file=" + l.Cert("sa.key"), "--root-ca-file=" + l.Cert("ca.crt"),
			"--controllers=" + strings.TrimSpace(c.controllers()),
			"--profiling=false",
		}, fastClient...),
		Ready: LoopbackHealth(c.Ports[ControllerManager], "https", "/healthz"),
	}
}

func (c Config) controllers() string {
	if c.Controllers == "" {
		return "*"
	}
	return c.Controllers
}
