package controlplane

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// healthClient trusts anybody: it only asks our own loopback ports whether the
// process behind them, whose pid we know, works.
var healthClient = &http.Client{
	Timeout: 2 * time.Second,
	Transport: &http.Transport{
		Proxy:             nil,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	},
}

// LoopbackHealth probes a health endpoint on a loopback port.
func LoopbackHealth(port int, scheme, path string) func(context.Context) error {
	url := scheme + "://" + net.JoinHostPort(Loopback, strconv.Itoa(port)) + path
	return func(ctx context.Context) error { return CheckHTTP(ctx, healthClient, url) }
}

// CheckHTTP fails unless the URL answers 200.
func CheckHTTP(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
