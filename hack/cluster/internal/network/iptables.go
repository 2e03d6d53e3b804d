package network

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// fence keeps pod traffic on this machine: pods reach each other, Services and
// the node, but nothing is forwarded to or from any other interface. The first
// rule matters where another program has set the chain's policy to drop.
const fence = `*filter
:AXON-FORWARD - [0:0]
-A AXON-FORWARD -i axon-pods -o axon-pods -j ACCEPT
-A AXON-FORWARD -i axon-pods -j REJECT
-A AXON-FORWARD -o axon-pods -j REJECT
-I FORWARD -j AXON-FORWARD
COMMIT
`

// opening lets pods reach beyond this machine, under its address; nothing from
// outside reaches them.
const opening = `*filter
:AXON-FORWARD - [0:0]
-A AXON-FORWARD -i axon-pods -j ACCEPT
-A AXON-FORWARD -o axon-pods -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A AXON-FORWARD -o axon-pods -j REJECT
-I FORWARD -j AXON-FORWARD
COMMIT
*nat
:AXON-MASQUERADE - [0:0]
-A AXON-MASQUERADE -s ` + PodCIDR + ` ! -o axon-pods -j MASQUERADE
-A POSTROUTING -j AXON-MASQUERADE
COMMIT
`

// Fence puts the rules for pod traffic in place unless they are; with egress,
// pods may reach beyond this machine.
func Fence(egress bool) error {
	if exec.Command("iptables", "-w", "-C", "FORWARD", "-j", "AXON-FORWARD").Run() == nil {
		return nil
	}
	if egress {
		return restore("iptables-restore", opening)
	}
	return restore("iptables-restore", fence)
}

// tools are the address families in which the cluster's programs make chains.
var tools = []string{"iptables", "ip6tables"}

// RemoveRules deletes the chains of the cluster's programs and the jumps to them.
func RemoveRules() error {
	for _, tool := range tools {
		saved, err := save(tool)
		if err != nil {
			return err
		}
		if undo := Removal(saved); undo != "" {
			if err := restore(tool+"-restore", undo); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rules lists what RemoveRules would have to remove.
func Rules() (string, error) {
	var all strings.Builder
	for _, tool := range tools {
		saved, err := save(tool)
		if err != nil {
			return "", err
		}
		all.WriteString(Removal(saved))
	}
	return all.String(), nil
}

func save(tool string) (string, error) {
	if _, err := exec.LookPath(tool + "-save"); err != nil {
		return "", nil // never installed, so nothing was ever added
	}
	out, err := exec.Command(tool + "-save").Output()
	if err != nil {
		return "", fmt.Errorf("%s-save: %w", tool, err)
	}
	return string(out), nil
}

func restore(tool, rules string) error {
	cmd := exec.Command(tool, "--noflush", "-w")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, strings.TrimSpace(string(out)))
	}
	return nil
}

var (
	ownChain = regexp.MustCompile(`^:((?:KUBE|CNI|AXON)-\S+) `)
	ownRule  = regexp.MustCompile(`^-A (?:KUBE|CNI|AXON)-`)
	ownJump  = regexp.MustCompile(` -[jg] (?:KUBE|CNI|AXON)-`)
)

// Removal turns the output of iptables-save into input for iptables-restore
// --noflush that removes our chains and the jumps to them, and touches nothing
// else. It is empty when there is nothing of ours.
func Removal(saved string) string {
	var out strings.Builder
	var table string
	var jumps, flush, drop []string
	for line := range strings.Lines(saved) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "*"):
			table, jumps, flush, drop = line, nil, nil, nil
		case line == "COMMIT":
			if len(jumps)+len(flush) > 0 {
				lines := append(append(append([]string{table}, jumps...), flush...), drop...)
				out.WriteString(strings.Join(append(lines, "COMMIT"), "\n") + "\n")
			}
		case ownChain.MatchString(line):
			name := ownChain.FindStringSubmatch(line)[1]
			// A chain can be deleted only when no other refers to it: empty all first.
			flush, drop = append(flush, "-F "+name), append(drop, "-X "+name)
		case !ownRule.MatchString(line) && strings.HasPrefix(line, "-A ") && ownJump.MatchString(line):
			jumps = append(jumps, "-D "+strings.TrimPrefix(line, "-A "))
		}
	}
	return out.String()
}
