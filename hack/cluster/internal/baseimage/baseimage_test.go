package baseimage

import (
	"encoding/pem"
	"slices"
	"testing"
)

func cert(content string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(content)}))
}

func TestOnlyPrivateAuthoritiesAreCopied(t *testing.T) {
	trusted := cert("public") + "# a comment\n" + cert("company") + cert("company")
	if got := difference(trusted, cert("public")+cert("other")); !slices.Equal(got, []string{cert("company")}) {
		t.Fatalf("got %q", got)
	}
}

func TestTheKeyChangesWithWhatGoesIn(t *testing.T) {
	o := Options{Suite: "bookworm", Include: []string{"a"}, Name: "n"}
	base := o.key(host{sources: "s"})
	if o.key(host{sources: "s"}) != base {
		t.Error("the key of the same content differs")
	}
	if o.key(host{sources: "t"}) == base || o.key(host{sources: "s", authorities: []string{"c"}}) == base {
		t.Error("another mirror or authority has the same key")
	}
	o.Include = []string{"a", "b"}
	if o.key(host{sources: "s"}) == base {
		t.Error("another list of packages has the same key")
	}
}
