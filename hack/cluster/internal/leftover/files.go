package leftover

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// networkResults are the cached results of a pod network, one for each pod.
func networkResults(network string) []string {
	results, _ := filepath.Glob(filepath.Join(cniResults, network+"-*"))
	return results
}

// sandbox is the pod's id in a result's name: NETWORK-ID-INTERFACE.
func sandbox(result, network string) string {
	id, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(result), network+"-"), "-")
	return id
}

const (
	logLinks     = "/var/log/containers"
	cniResults   = "/var/lib/cni/results"
	shimSockets  = "/run/containerd/s"
	deviceSocket = "/var/lib/kubelet/device-plugins/kubelet.sock"
)

// RemoveStray removes what the cluster's programs leave in places that cannot be
// chosen: links to logs below one of dirs, cached results of the pod network,
// sockets of dead processes. Their folders go too when nothing else is in them.
func RemoveStray(network string, dirs ...string) {
	links, _ := filepath.Glob(logLinks + "/*")
	for _, link := range links {
		target, err := os.Readlink(link)
		for _, dir := range dirs {
			if err == nil && strings.HasPrefix(target, dir+"/") {
				os.Remove(link)
			}
		}
	}
	for _, result := range networkResults(network) {
		// The same pod has results for the loopback interface.
		all, _ := filepath.Glob(filepath.Join(cniResults, "*-"+sandbox(result, network)+"-*"))
		for _, path := range all {
			os.Remove(path)
		}
	}
	sockets, _ := filepath.Glob(shimSockets + "/*")
	for _, socket := range append(sockets, deviceSocket) {
		removeDead(socket)
	}
	for _, dir := range []string{
		logLinks, cniResults, "/var/lib/cni", shimSockets, "/run/containerd",
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
	} {
		os.Remove(dir) // fails, as it should, when something is left in it
	}
}

// removeDead removes a socket on which nobody listens: of no use to anyone,
// whoever made it.
func removeDead(socket string) {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		conn.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(socket)
	}
}
