package supervise

import (
	"io"
	"os"
	"slices"
	"strings"
)

const (
	tailBytes   = 8 << 10
	tailLines   = 12
	maxLineSize = 400
)

// tail is the end of the component's log, for an error message.
func (r *Running) tail() string {
	f, err := os.Open(r.layout.Log(r.Name))
	if err != nil {
		return "  (no log)"
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		f.Seek(-tailBytes, io.SeekEnd)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return "  (unreadable log)"
	}
	return lastLines(string(data), tailLines)
}

// lastLines keeps the last n lines, or the first n of a panic's, cut to a
// readable width and indented.
func lastLines(text string, n int) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return "  (its log is empty)"
	}
	lines := strings.Split(text, "\n")
	if i := slices.IndexFunc(lines, isPanic); i >= 0 {
		lines = lines[i:min(i+n, len(lines))]
	} else if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	for i, line := range lines {
		if len(line) > maxLineSize {
			line = line[:maxLineSize] + "…"
		}
		lines[i] = "  " + line
	}
	return strings.Join(lines, "\n")
}

func isPanic(line string) bool { return strings.HasPrefix(line, "panic: ") }
