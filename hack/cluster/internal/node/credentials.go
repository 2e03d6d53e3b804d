package node

import (
	"context"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/kubeapi"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/pki"
)

// dnsUser is the name server's user; no built-in role fits it.
const dnsUser = "system:coredns"

// Ports are the names of the ports the node's components need on loopback.
var Ports = []string{Scheduler, Kubelet, KubeProxy, KubeProxy + "-metrics", CoreDNS}

// WriteConfig writes certificates, kubeconfigs and configuration files.
func WriteConfig(c controlplane.Config, ca *pki.Authority, egress bool) error {
	l := c.Layout
	if _, _, err := ca.Issue("kubelet-server", pki.Request{Name: "system:node:" + Name, Hosts: []string{network.NodeAddress, Name}}); err != nil {
		return err
	}
	// The API server calls the kubelet for logs, exec and port-forward.
	if _, _, err := ca.Issue("kubelet-client", pki.Request{Name: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}}); err != nil {
		return err
	}
	users := map[string]pki.Request{
		Kubelet:   {Name: "system:node:" + Name, Groups: []string{"system:nodes"}},
		Scheduler: {Name: "system:kube-scheduler"},
		KubeProxy: {Name: "system:kube-proxy"},
		CoreDNS:   {Name: dnsUser},
	}
	for component, user := range users {
		if err := c.WriteClient(ca, l.Config(component+".kubeconfig"), user); err != nil {
			return err
		}
	}
	files := map[string]string{
		"kubelet.yaml": kubeletConfig(l, c.Ports[Kubelet]),
		"Corefile":     corefile(l, c.Ports[CoreDNS], egress),
		"audit.yaml":   auditPolicy,
	}
	for name, content := range files {
		if err := layout.WriteFile(l.Config(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// APIServerFlags are what a node adds to the API server's flags.
func APIServerFlags(l layout.Layout) []string {
	return []string{
		"--kubelet-client-certificate=" + l.Cert("kubelet-client.crt"), "--kubelet-client-key=" + l.Cert("kubelet-client.key"),
		"--kubelet-certificate-authority=" + l.Cert("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--enable-admission-plugins=NodeRestriction",
		"--audit-policy-file=" + l.Config("audit.yaml"), "--audit-log-path=" + l.Log("audit"),
		"--audit-log-maxsize=50", "--audit-log-maxbackup=1",
	}
}

// auditPolicy records who did what, without the cluster's own chatter: what
// people, the operator and pods ask of the API.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy, system:coredns]
- level: None
  userGroups: [system:nodes, system:serviceaccounts:kube-system]
- level: None
  nonResourceURLs: ["*"]
- level: Metadata
`

// GrantDNS gives the name server what it reads.
func GrantDNS(ctx context.Context, admin *kubeapi.Client) error {
	const rbac = "/apis/rbac.authorization.k8s.io/v1/"
	role := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"` + dnsUser + `"},"rules":[
		{"apiGroups":[""],"resources":["services","pods","namespaces"],"verbs":["list","watch"]},
		{"apiGroups":["discovery.k8s.io"],"resources":["endpointslices"],"verbs":["list","watch"]}]}`
	if err := admin.Create(ctx, rbac+"clusterroles", role); err != nil {
		return err
	}
	binding := `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"` + dnsUser + `"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"` + dnsUser + `"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"` + dnsUser + `"}]}`
	return admin.Create(ctx, rbac+"clusterrolebindings", binding)
}
