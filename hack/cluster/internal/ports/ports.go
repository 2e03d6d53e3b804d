// Package ports picks free ports.
package ports

import (
	"fmt"
	"net"
)

// Free picks one free port per name on the address, keeping those already
// chosen. Another program may take a port before its component binds it; the
// component then dies and says so, and the caller picks again.
func Free(address string, chosen map[string]int, names ...string) error {
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	for _, name := range names {
		if chosen[name] != 0 {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			return fmt.Errorf("find a free port on %s: %w", address, err)
		}
		open = append(open, l) // held until all are chosen, so that they differ
		chosen[name] = l.Addr().(*net.TCPAddr).Port
	}
	return nil
}
