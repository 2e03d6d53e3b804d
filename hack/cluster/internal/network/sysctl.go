package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// wanted are the kernel settings the pod network needs: traffic to a Service
// is routed, and the answer of a pod on the same bridge must pass the packet
// filter again to be translated back.
var wanted = map[string]string{
	"/proc/sys/net/ipv4/ip_forward":                      "1",
	"/proc/sys/net/bridge/bridge-nf-call-iptables":       "1",
	"/proc/sys/net/ipv4/conf/" + NodeLink + "/rp_filter": "0",
}

// SetSysctls sets them, after it has written the former values of those it will
// change to a file. Values once written are kept: a second call finds ours.
func SetSysctls(file string) error {
	var former strings.Builder
	var change []string
	for path, value := range wanted {
		old, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without bridge filtering: see MasqueradeAll
		}
		if err != nil {
			return fmt.Errorf("read kernel setting: %w", err)
		}
		if text := strings.TrimSpace(string(old)); text != value {
			change = append(change, path)
			fmt.Fprintf(&former, "%s %s\n", path, text)
		}
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(file, []byte(former.String()), 0o600); err != nil {
			return fmt.Errorf("save kernel settings: %w", err)
		}
	}
	for _, path := range change {
		if err := os.WriteFile(path, []byte(wanted[path]), 0); err != nil {
			return fmt.Errorf("change kernel setting: %w", err)
		}
	}
	return nil
}

// RestoreSysctls puts the values back that SetSysctls wrote to the file.
func RestoreSysctls(file string) error {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read kernel settings: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		path, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if _, ours := wanted[path]; !ours {
			continue
		}
		err := os.WriteFile(path, []byte(value), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restore kernel setting: %w", err)
		}
	}
	return nil
}

// MasqueradeAll says that Services must hide the caller's address, because this
// kernel cannot translate the answer of a pod on the same bridge back.
func MasqueradeAll() bool {
	_, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err != nil
}
