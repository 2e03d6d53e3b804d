package pki

import (
	"crypto/x509"
	"testing"
)

func TestServerCertificateIsGoodForItsHostsOnly(t *testing.T) {
	ca, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	certPEM, _, err := ca.Issue("server", Request{Name: "server", Hosts: []string{"kubernetes.default.svc", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := parseCert(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	for host, want := range map[string]bool{"kubernetes.default.svc": true, "127.0.0.1": true, "10.0.0.1": false, "other": false} {
		_, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
		if (err == nil) != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestTheAuthorityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir)
	if err != nil || string(first.PEM) != string(second.PEM) {
		t.Fatalf("a second authority was made: %v", err)
	}
}
