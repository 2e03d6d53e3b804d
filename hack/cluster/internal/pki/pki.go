// Package pki makes the keys and certificates of a cluster: one authority that
// signs everything, and one key for ServiceAccount tokens.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is long enough for any development cluster.
const lifetime = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
	// PEM is the authority's certificate.
	PEM []byte
}

// Request describes a certificate.
type Request struct {
	// Name is the common name: the user name, for a client.
	Name string
	// Groups are a client's groups.
	Groups []string
	// Hosts are a server's DNS names and IP addresses; a request without any is for a client.
	Hosts []string
}

// Open loads the authority from dir, or makes it.
func Open(dir string) (*Authority, error) {
	certPEM, certErr := os.ReadFile(filepath.Join(dir, "ca.crt"))
	keyPEM, keyErr := os.ReadFile(filepath.Join(dir, "ca.key"))
	if errors.Is(errors.Join(certErr, keyErr), fs.ErrNotExist) {
		return create(dir)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("read authority: ca.key is not PEM")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read authority: %w", err)
	}
	return &Authority{dir: dir, cert: cert, key: key, PEM: certPEM}, nil
}

func create(dir string) (*Authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := template("axon-cluster")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make authority: %w", err)
	}
	a := &Authority{dir: dir, cert: cert, key: key, PEM: encode("CERTIFICATE", der)}
	if err := a.write("ca", a.PEM, key); err != nil {
		return nil, err
	}
	return a, nil
}

// Issue makes NAME.crt and NAME.key and returns both as PEM.
func (a *Authority) Issue(file string, r Request) (certPEM, keyPEM []byte, err error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	t := template(r.Name)
	t.Subject.Organization = r.Groups
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(r.Hosts) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	t.DNSNames, t.IPAddresses = SplitHosts(r.Hosts)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate %s: %w", file, err)
	}
	certPEM = encode("CERTIFICATE", der)
	if err := a.write(file, certPEM, key); err != nil {
		return nil, nil, err
	}
	keyPEM, err = os.ReadFile(filepath.Join(a.dir, file+".key"))
	return certPEM, keyPEM, err
}

// TokenKeys makes sa.key and sa.pub, which sign and verify ServiceAccount tokens.
func (a *Authority) TokenKeys() error {
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode token key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "sa.pub"), encode("PUBLIC KEY", der), 0o600); err != nil {
		return fmt.Errorf("write token key: %w", err)
	}
	return a.write("sa", nil, key)
}

func (a *Authority) write(file string, certPEM []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key %s: %w", file, err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, file+".key"), encode("EC PRIVATE KEY", der), 0o600); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	if certPEM == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(a.dir, file+".crt"), certPEM, 0o600); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

// SplitHosts sorts hosts into DNS names and addresses.
func SplitHosts(hosts []string) (names []string, addresses []net.IP) {
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, host)
		}
	}
	return names, addresses
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails on a working machine
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// An hour of slack: the clock of a virtual machine may be set back.
		NotBefore: time.Now().Add(-time.Hour),
		NotAfter:  time.Now().Add(lifetime),
		KeyUsage:  x509.KeyUsageDigitalSignature,
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func parseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("certificate is not PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}
