// Package kubeapi writes kubeconfigs and makes the few API calls that the
// cluster tool itself needs, without a client library.
package kubeapi

import (
	"encoding/base64"
	"fmt"
	"os"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
)

// Credentials are who calls which API server.
type Credentials struct {
	Server                 string
	CAPEM, CertPEM, KeyPEM []byte
}

// Kubeconfig renders a kubeconfig with everything embedded, so that the file
// can be copied.
func (c Credentials) Kubeconfig(name string) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
contexts:
- name: %[1]s
  context: {cluster: %[1]s, user: %[1]s}
current-context: %[1]s
`, name, c.Server, b64(c.CAPEM), b64(c.CertPEM), b64(c.KeyPEM))
}

// WriteKubeconfig writes the kubeconfig for the owner's eyes only.
func (c Credentials) WriteKubeconfig(path, name string) error {
	return layout.WriteFile(path, c.Kubeconfig(name), 0o600)
}

// FromFiles reads the credentials from PEM files.
func FromFiles(server, ca, cert, key string) (Credentials, error) {
	c := Credentials{Server: server}
	for path, to := range map[string]*[]byte{ca: &c.CAPEM, cert: &c.CertPEM, key: &c.KeyPEM} {
		data, err := os.ReadFile(path)
		if err != nil {
			return c, fmt.Errorf("read credentials: %w", err)
		}
		*to = data
	}
	return c, nil
}
