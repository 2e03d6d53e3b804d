package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/network"
)

var testLayout = layout.Layout{Dir: "/some where/.cluster", Bin: "/b"}

func TestTheNetworkConfigurationIsJSONAndKeepsItsStateInOurFolder(t *testing.T) {
	var config struct {
		Plugins []struct {
			Bridge string
			IPAM   struct{ DataDir string }
		}
	}
	if err := json.Unmarshal([]byte(cniConfig(testLayout)), &config); err != nil {
		t.Fatal(err)
	}
	first := config.Plugins[0]
	if first.Bridge != network.PodLink || !strings.HasPrefix(first.IPAM.DataDir, testLayout.Run()) {
		t.Fatalf("got %+v", first)
	}
}

func TestTheKubeletListensOnOurBridgeAndAsksForCredentials(t *testing.T) {
	config := kubeletConfig(testLayout, 1234)
	for _, want := range []string{
		"address: " + network.NodeAddress + "\n", "healthzBindAddress: 127.0.0.1\n", "healthzPort: 1234\n",
		"readOnlyPort: 0\n", "anonymous: {enabled: false}", "authorization: {mode: Webhook}",
		`clientCAFile: "/some where/.cluster/certs/ca.crt"`,
	} {
		if !strings.Contains(config, want) {
			t.Errorf("no %q in:\n%s", want, config)
		}
	}
}

func TestTheNameServerAsksNobodyElse(t *testing.T) {
	config := corefile(testLayout, 1234, false)
	if strings.Contains(config, "forward") || !strings.Contains(config, "rcode NXDOMAIN") {
		t.Fatalf("got:\n%s", config)
	}
	open := corefile(testLayout, 1234, true)
	if !strings.Contains(open, "forward . /etc/resolv.conf") || strings.Contains(open, "NXDOMAIN") {
		t.Fatalf("got with egress:\n%s", open)
	}
}

func TestANodeWithATaintIsNotReady(t *testing.T) {
	for object, want := range map[string]string{
		`{}`: "it has not reported yet",
		`{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network"}]}}`:                    "no network",
		`{"spec":{"taints":[{"key":"not-ready"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`:    "it has the taint not-ready",
		`{"status":{"conditions":[{"type":"MemoryPressure","status":"False"},{"type":"Ready","status":"True"}]}}`: "",
	} {
		var n nodeStatus
		if err := json.Unmarshal([]byte(object), &n); err != nil {
			t.Fatal(err)
		}
		if got := n.notReady(); got != want {
			t.Errorf("%s: got %q", object, got)
		}
	}
}
