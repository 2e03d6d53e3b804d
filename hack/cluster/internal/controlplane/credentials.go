package controlplane

import (
	"fmt"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/pki"
)

// ServerHosts are the names under which clients reach the API server.
func ServerHosts(extra ...string) []string {
	return append([]string{
		Loopback, serviceAddress, "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}, extra...)
}

// WriteCredentials makes all keys and certificates of the control plane, its
// kubeconfigs and the administrator's.
func (c Config) WriteCredentials(ca *pki.Authority) error {
	if err := ca.TokenKeys(); err != nil {
		return err
	}
	servers := map[string]pki.Request{
		"apiserver": {Name: "kube-apiserver", Hosts: ServerHosts(c.Address)},
		"loopback":  {Name: "loopback", Hosts: []string{Loopback, "localhost"}},
	}
	for file, request := range servers {
		if _, _, err := ca.Issue(file, request); err != nil {
			return err
		}
	}
	if err := c.WriteClient(ca, c.Layout.Config(ControllerManager+".kubeconfig"), pki.Request{Name: "system:" + ControllerManager}); err != nil {
		return err
	}
	// The administrator comes last: who sees the kubeconfig finds everything else in place.
	return c.WriteClient(ca, c.Layout.Kubeconfig(), pki.Request{Name: Admin, Groups: []string{"system:masters"}})
}

// Admin is the administrator's user name, and the name of the kubeconfig's context.
const Admin = "axon-admin"

// WriteClient makes a client certificate and the kubeconfig that holds it.
func (c Config) WriteClient(ca *pki.Authority, path string, r pki.Request) error {
	file := clientFile(r.Name)
	cert, key, err := ca.Issue(file, r)
	if err != nil {
		return err
	}
	credentials := kubeapi.Credentials{Server: c.Server(), CAPEM: ca.PEM, CertPEM: cert, KeyPEM: key}
	if err := credentials.WriteKubeconfig(path, contextName(r.Name)); err != nil {
		return fmt.Errorf("write kubeconfig of %s: %w", r.Name, err)
	}
	return nil
}

// Client is an API client with the administrator's rights.
func (c Config) Client() (*kubeapi.Client, error) {
	l, file := c.Layout, clientFile(Admin)
	credentials, err := kubeapi.FromFiles(c.Server(), l.Cert("ca.crt"), l.Cert(file+".crt"), l.Cert(file+".key"))
	if err != nil {
		return nil, err
	}
	return kubeapi.NewClient(credentials)
}
