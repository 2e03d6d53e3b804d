package preflight

import (
	"strings"
	"testing"
)

func TestCapabilityBits(t *testing.T) {
	status := "Name:\tx\nCapInh:\tffffffffffffffff\nCapEff:\t0000000000001000\n"
	if !hasCapability(status, 12) {
		t.Error("bit 12 is set and was not seen")
	}
	if hasCapability(status, 21) {
		t.Error("bit 21 is not set and was seen")
	}
}

func TestTheMessageNamesTheWayOut(t *testing.T) {
	message := Unsupported{"you are not root", "no cgroups"}.Error()
	for _, want := range []string{"you are not root; no cgroups", "CLUSTER=existing", "CLUSTER=kind"} {
		if !strings.Contains(message, want) {
			t.Errorf("no %q in %q", want, message)
		}
	}
}
