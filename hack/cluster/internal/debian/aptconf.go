package debian

import (
	"fmt"
	"os/exec"
	"strings"
)

// kept are the settings that decide how packages are fetched. All others (hooks,
// cleaning, recommendations) are the machine's own affair.
var kept = []string{
	"Acquire::http::", "Acquire::https::", "Acquire::Check-Valid-Until", "Acquire::Check-Date",
	"Acquire::Retries", "Acquire::Languages",
}

// FetchConfig is the machine's apt configuration as far as fetching goes.
func FetchConfig() (string, error) {
	out, err := exec.Command("apt-config", "dump").Output()
	if err != nil {
		return "", fmt.Errorf("read apt configuration: %w", err)
	}
	return fetchSettings(string(out)), nil
}

// fetchSettings picks the kept settings out of a dump of all.
func fetchSettings(dump string) string {
	var out strings.Builder
	for line := range strings.Lines(dump) {
		for _, prefix := range kept {
			if strings.HasPrefix(line, prefix) && !strings.HasSuffix(line, ` "";`+"\n") {
				out.WriteString(line)
				break
			}
		}
	}
	return out.String()
}

// Proxy is the proxy that apt uses for http, or "": debootstrap fetches by other
// means and has to be told.
func Proxy(config string) string {
	for line := range strings.Lines(config) {
		if value, ok := strings.CutPrefix(line, `Acquire::http::Proxy "`); ok {
			value, _, _ = strings.Cut(value, `"`)
			return value
		}
	}
	return ""
}
