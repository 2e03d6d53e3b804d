package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// StateFile is where the choices of the last `up` are kept.
const StateFile = "state.json"

// State is what a later call must know to find, repair or remove the cluster.
type State struct {
	// Boot is the kernel's boot id: after a reboot no process, link or mount of the
	// state is real any more.
	Boot string `json:"boot"`
	// Complete is set at the end of a successful `up`.
	Complete bool `json:"complete"`
	// Ports are the ports picked for the components that listen.
	Ports map[string]int `json:"ports"`
	// Egress tells whether pods reach beyond this machine.
	Egress bool `json:"egress"`
}

// Load reads the state; a missing or half-written file is an empty state.
func (l Layout) Load() State {
	var s State
	data, err := os.ReadFile(l.Path(StateFile))
	if err != nil || json.Unmarshal(data, &s) != nil {
		s = State{}
	}
	if s.Ports == nil {
		s.Ports = map[string]int{}
	}
	return s
}

// Save replaces the state file in one step, so that it is never half-written.
func (l Layout) Save(s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return WriteFile(l.Path(StateFile), append(data, '\n'), 0o600)
}

// WriteFile writes a file so that a reader sees the old or the new content.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Empty says that there is no state in the folder.
func (l Layout) Empty() bool {
	_, err := os.Stat(l.Path("pids"))
	return errors.Is(err, fs.ErrNotExist)
}
