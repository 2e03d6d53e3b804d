package leftover

import (
	"slices"
	"testing"
)

func TestMountsBelowAreInnermostFirstAndOursOnly(t *testing.T) {
	info := `27 0 254:0 / / rw - ext4 /dev/vda rw
50 27 254:0 /c/data/node /run/axon-cluster-1/node rw - ext4 /dev/vda rw
51 50 0:40 / /run/axon-cluster-1/node/kubelet/pods/x/volumes/a\040b rw - tmpfs tmpfs rw
52 27 0:41 / /run/axon-cluster-10/node rw - tmpfs tmpfs rw
`
	want := []string{"/run/axon-cluster-1/node/kubelet/pods/x/volumes/a b", "/run/axon-cluster-1/node"}
	if got := mountsBelow(info, []string{"/run/axon-cluster-1", "/c"}); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
}
