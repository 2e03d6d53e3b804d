package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

// PauseImage is the image of the process that holds a pod's namespaces.
const PauseImage = "localhost/pause:1"

// cniDirs are where distributions put the network plug-ins.
var cniDirs = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// CNIDir is the folder that has the network plug-ins, or "".
func CNIDir() string {
	for _, dir := range cniDirs {
		if _, err := os.Stat(filepath.Join(dir, "bridge")); err == nil {
			return dir
		}
	}
	return ""
}

// containerdConfig renders containerd's configuration. An unprivileged root (in
// a virtual machine or container) may not lower oom scores, hence
// restrict_oom_score_adj. Network namespaces are mounted below our own state, so
// that they go with it.
func containerdConfig(l layout.Layout, cniDir string) string {
	short := ShortDir(l)
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = %[3]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = %[5]q
  conf_dir = %[6]q

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = %[7]q

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = %[8]q
`, filepath.Join(short, "containerd"), filepath.Join(short, "state"), Socket(l), PauseImage,
		cniDir, l.Path("config", "cni"), l.Path("config", "registries"), filepath.Join(short, "runc"))
}

// noRegistry sends every pull to a closed loopback port: images are loaded, not
// pulled, and a missing one must fail at once instead of calling out.
const noRegistry = `server = "http://127.0.0.1:9"
[host."http://127.0.0.1:9"]
  capabilities = ["pull", "resolve"]
`

// cniConfig renders the pod network: one bridge, addresses from one range.
func cniConfig(l layout.Layout) string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": %q,
  "plugins": [
    {
      "type": "bridge", "bridge": %q, "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local", "dataDir": %q,
        "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, NetworkName, network.PodLink, filepath.Join(ShortDir(l), "cni"), network.PodCIDR)
}

// WriteContainerdConfig writes the files containerd reads.
func WriteContainerdConfig(l layout.Layout) error {
	cniDir := CNIDir()
	if cniDir == "" {
		return fmt.Errorf("no network plug-ins in any of %v", cniDirs)
	}
	for path, content := range map[string]string{
		l.Config("containerd.toml"):                              containerdConfig(l, cniDir),
		l.Path("config", "cni", "10-axon.conflist"):              cniConfig(l),
		l.Path("config", "registries", "_default", "hosts.toml"): noRegistry,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := layout.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ContainerdComponent is our own containerd, beside any other on the machine.
func ContainerdComponent(l layout.Layout) supervise.Component {
	return supervise.Component{
		Name: Containerd, Path: Containerd,
		Args: []string{"--config", l.Config("containerd.toml"), "--log-level", "info"},
		Ready: func(ctx context.Context) error {
			var dialer net.Dialer
			conn, err := dialer.DialContext(ctx, "unix", Socket(l))
			if err != nil {
				return err
			}
			return conn.Close()
		},
	}
}
