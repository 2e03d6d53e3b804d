// Package network makes and removes the cluster's own bridges and packet
// filter rules. Nothing of it reaches, or can be reached from, another machine.
package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
)

// NodeLink is the bridge that carries the node's address. Not every kernel has
// dummy links, and the kubelet refuses a loopback address; an empty bridge does.
const (
	NodeLink    = "axon-node"
	NodeAddress = "10.250.0.1"
)

// PodLink is the bridge the pods are plugged into.
const (
	PodLink    = "axon-pods"
	PodCIDR    = "10.244.0.0/24"
	PodGateway = "10.244.0.1"
)

// MakeNodeLink makes the node's bridge unless it is there.
func MakeNodeLink() error {
	if _, err := net.InterfaceByName(NodeLink); err != nil {
		if err := ip("link", "add", NodeLink, "type", "bridge"); err != nil {
			return err
		}
	}
	if err := ip("addr", "replace", NodeAddress+"/32", "dev", NodeLink); err != nil {
		return err
	}
	return ip("link", "set", NodeLink, "up")
}

// RemoveLinks deletes our bridges and what is plugged into them.
func RemoveLinks() error {
	for _, bridge := range []string{PodLink, NodeLink} {
		if _, err := net.InterfaceByName(bridge); err != nil {
			continue
		}
		out, err := exec.Command("ip", "-json", "link", "show", "master", bridge).Output()
		if err != nil {
			return fmt.Errorf("list links of %s: %w", bridge, err)
		}
		var ports []struct {
			Name string `json:"ifname"`
		}
		if len(bytes.TrimSpace(out)) > 0 {
			if err := json.Unmarshal(out, &ports); err != nil {
				return fmt.Errorf("list links of %s: %w", bridge, err)
			}
		}
		for _, port := range ports {
			// The other end may go at the same moment, with its namespace.
			_ = ip("link", "delete", port.Name)
		}
		if err := ip("link", "delete", bridge); err != nil {
			return err
		}
	}
	return nil
}

// Links are those of our bridges that exist.
func Links() []string {
	var found []string
	for _, name := range []string{NodeLink, PodLink} {
		if _, err := net.InterfaceByName(name); err == nil {
			found = append(found, name)
		}
	}
	return found
}

// CheckFree fails when another interface of the machine uses addresses of ours.
func CheckFree(serviceCIDR string) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, i := range interfaces {
		if i.Name == NodeLink || i.Name == PodLink {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, address := range addresses {
			for _, ours := range []string{PodCIDR, serviceCIDR, NodeAddress + "/32"} {
				if overlap(address.String(), ours) {
					return fmt.Errorf("interface %s has address %s, which the cluster needs (%s)", i.Name, address, ours)
				}
			}
		}
	}
	return nil
}

// overlap says whether two networks in CIDR notation share an address.
func overlap(a, b string) bool {
	ipA, netA, errA := net.ParseCIDR(a)
	ipB, netB, errB := net.ParseCIDR(b)
	return errA == nil && errB == nil && (netA.Contains(ipB) || netB.Contains(ipA))
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
