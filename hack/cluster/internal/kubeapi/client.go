package kubeapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// ErrNotFound says that the object does not exist.
var ErrNotFound = errors.New("not found")

// Client calls one API server.
type Client struct {
	server string
	http   *http.Client
}

// NewClient makes a client from credentials.
func NewClient(c Credentials) (*Client, error) {
	pair, err := tls.X509KeyPair(c.CertPEM, c.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("load client certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.CAPEM)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		// A proxy of the environment must never be asked for our own addresses.
		Proxy: nil,
	}
	return &Client{server: c.Server, http: &http.Client{Transport: transport, Timeout: 10 * time.Second}}, nil
}

// Get decodes the object at path into out, which may be nil.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	body, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	return nil
}

// Create posts a JSON object; one that exists already is left as it is.
func (c *Client) Create(ctx context.Context, path, object string) error {
	_, err := c.do(ctx, http.MethodPost, path, []byte(object))
	return err
}

func (c *Client) do(ctx context.Context, method, path string, in []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %s: %w", method, path, ErrNotFound)
	case method == http.MethodPost && resp.StatusCode == http.StatusConflict:
		return body, nil
	case resp.StatusCode >= 300:
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(body[:min(len(body), 300)])))
	}
	return body, nil
}
