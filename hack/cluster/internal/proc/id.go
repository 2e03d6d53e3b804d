// Package proc names processes so that a number that the kernel has given to
// somebody else since is never mistaken for ours, and starts and ends them.
package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ID is a process for good: a pid is reused, a pid with its start time within
// one boot of the machine is not.
type ID struct {
	Pid int
	// Start is the start time in clock ticks after boot.
	Start uint64
	// Boot is the kernel's id of this boot.
	Boot string
}

// String is the pid file's content.
func (id ID) String() string { return fmt.Sprintf("%d %d %s\n", id.Pid, id.Start, id.Boot) }

// ParseID reads what String wrote.
func ParseID(text string) (ID, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return ID{}, fmt.Errorf("pid file has %d fields, want pid, start time and boot id", len(fields))
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || pid < 2 {
		return ID{}, fmt.Errorf("pid file names no process: %q", fields[0])
	}
	start, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("pid file has no start time: %q", fields[1])
	}
	return ID{Pid: pid, Start: start, Boot: fields[2]}, nil
}

// Read reads a pid file.
func Read(path string) (ID, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return ID{}, err
	}
	return ParseID(string(data))
}

// Stat is the part of /proc/PID/stat that tells whether and since when a process lives.
type Stat struct {
	State byte
	Start uint64
}

// parseStat reads a stat line. The command name, in parentheses, may itself
// hold spaces and parentheses, so fields are counted from the last one.
func parseStat(line string) (Stat, error) {
	end := strings.LastIndexByte(line, ')')
	if end < 0 {
		return Stat{}, fmt.Errorf("stat line has no command name")
	}
	fields := strings.Fields(line[end+1:])
	if len(fields) < 20 {
		return Stat{}, fmt.Errorf("stat line has %d fields", len(fields))
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("stat line has no start time: %w", err)
	}
	return Stat{State: fields[0][0], Start: start}, nil
}

func readStat(pid int) (Stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, err
	}
	return parseStat(string(data))
}

// Boot is the kernel's id of this boot.
var Boot = sync.OnceValue(func() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(data))
})

// Identify names the process that has this pid now.
func Identify(pid int) (ID, error) {
	stat, err := readStat(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return ID{Pid: pid, Start: stat.Start, Boot: Boot()}, nil
}

// Alive says whether exactly this process still runs. A zombie does not.
func (id ID) Alive() bool {
	stat, err := readStat(id.Pid)
	return err == nil && id.matches(stat, Boot())
}

func (id ID) matches(stat Stat, boot string) bool {
	return id.Boot == boot && id.Start == stat.Start && stat.State != 'Z' && stat.State != 'X'
}

// ticksPerSecond is the kernel's USER_HZ, 100 on every architecture Go runs on.
const ticksPerSecond = 100

// Uptime is how long the process has run.
func (id ID) Uptime() time.Duration {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(data))[0], 64)
	if err != nil {
		return 0
	}
	return time.Duration((seconds - float64(id.Start)/ticksPerSecond) * float64(time.Second))
}

// RSS is the resident memory in bytes.
func (id ID) RSS() int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", id.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
