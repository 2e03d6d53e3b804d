package node

import (
	"fmt"
	"path/filepath"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// kubeletConfig renders the kubelet's configuration. Nothing is evicted or
// collected for want of disk: the machine's disk is not the cluster's.
// Pods do not see the machine's own name servers.
func kubeletConfig(l layout.Layout, healthPort int) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
port: 10250
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
healthzPort: %[2]d
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[3]q}
authorization: {mode: Webhook}
tlsCertFile: %[4]q
tlsPrivateKeyFile: %[5]q
containerRuntimeEndpoint: %[6]q
cgroupDriver: cgroupfs
cgroupRoot: %[7]q
failCgroupV1: false
failSwapOn: false
clusterDomain: cluster.local
clusterDNS: [%[1]s]
resolvConf: ""
podLogsDir: %[8]q
maxPods: 240
evictionHard: {}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
kubeAPIQPS: 500
kubeAPIBurst: 1000
eventRecordQPS: 0
`, network.NodeAddress, healthPort, l.Cert("ca.crt"), l.Cert("kubelet-server.crt"), l.Cert("kubelet-server.key"),
		"unix://"+Socket(l), "/"+Cgroup(l), filepath.Join(ShortDir(l), "pod-logs"))
}

// KubeletComponent runs pods.
func KubeletComponent(l layout.Layout, ports map[string]int) supervise.Component {
	return supervise.Component{
		Name: Kubelet, Path: l.Binary(Kubelet),
		Args: []string{
			"--config=" + l.Config("kubelet.yaml"), "--kubeconfig=" + l.Config("kubelet.kubeconfig"),
			"--root-dir=" + filepath.Join(ShortDir(l), "kubelet"), "--cert-dir=" + filepath.Join(ShortDir(l), "kubelet", "pki"),
			"--hostname-override=" + Name, "--node-ip=" + network.NodeAddress,
		},
		Ready: controlplane.LoopbackHealth(ports[Kubelet], "http", "/healthz"),
	}
}
