package debian

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is one entry of apt's source lists.
type Source struct {
	URIs, Suites, Components []string
	// SignedBy is the path of the keyring, if the entry names one.
	SignedBy string
}

// Sources reads the machine's source lists, in both of their formats.
func Sources() ([]Source, error) {
	files := []string{"/etc/apt/sources.list"}
	for _, pattern := range []string{"*.list", "*.sources"} {
		found, _ := filepath.Glob(filepath.Join("/etc/apt/sources.list.d", pattern))
		files = append(files, found...)
	}
	var all []Source
	for _, file := range files {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read package sources: %w", err)
		}
		if strings.HasSuffix(file, ".sources") {
			all = append(all, parseStanzas(string(data))...)
		} else {
			all = append(all, parseLines(string(data))...)
		}
	}
	return all, nil
}

// parseLines reads the one-line format: deb [options] uri suite component...
func parseLines(text string) []Source {
	var all []Source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		var s Source
		rest = strings.TrimSpace(rest)
		if options, after, found := strings.Cut(rest, "]"); found && strings.HasPrefix(options, "[") {
			rest = after
			for _, option := range strings.Fields(options[1:]) {
				if path, ok := strings.CutPrefix(option, "signed-by="); ok {
					s.SignedBy = path
				}
			}
		}
		if fields := strings.Fields(rest); len(fields) >= 2 {
			s.URIs, s.Suites, s.Components = fields[:1], fields[1:2], fields[2:]
			all = append(all, s)
		}
	}
	return all
}

// parseStanzas reads the format of paragraphs with fields.
func parseStanzas(text string) []Source {
	var all []Source
	fields := map[string]string{}
	finish := func() {
		if slices.Contains(strings.Fields(fields["types"]), "deb") && fields["enabled"] != "no" {
			all = append(all, Source{
				URIs: strings.Fields(fields["uris"]), Suites: strings.Fields(fields["suites"]),
				Components: strings.Fields(fields["components"]), SignedBy: fields["signed-by"],
			})
		}
		fields = map[string]string{}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch name, value, found := strings.Cut(line, ":"); {
		case strings.TrimSpace(line) == "":
			finish()
		case strings.HasPrefix(line, "#"), strings.HasPrefix(line, " "), !found:
			// A comment, or a key written into the file itself: the keyring package has ours.
		default:
			fields[strings.ToLower(name)] = strings.TrimSpace(value)
		}
	}
	finish()
	return all
}

// ForSuite keeps the entries of one release: the suite itself, its updates and
// its security fixes. Other vendors' entries are not for an image to inherit.
func ForSuite(all []Source, suite string) []Source {
	var kept []Source
	for _, s := range all {
		var suites []string
		for _, name := range s.Suites {
			if name == suite || name == suite+"-updates" || name == suite+"-security" {
				suites = append(suites, name)
			}
		}
		if len(suites) > 0 {
			s.Suites = suites
			kept = append(kept, s)
		}
	}
	return kept
}

// Mirror is the address that has the suite itself.
func Mirror(sources []Source, suite string) (string, error) {
	for _, s := range sources {
		if slices.Contains(s.Suites, suite) && len(s.URIs) > 0 {
			return s.URIs[0], nil
		}
	}
	return "", fmt.Errorf("this machine's apt has no source for %s", suite)
}

// List renders the entries for an image, which has the distribution's keyring only.
func List(sources []Source) string {
	var out strings.Builder
	for _, s := range sources {
		for _, uri := range s.URIs {
			for _, suite := range s.Suites {
				fmt.Fprintf(&out, "deb %s %s %s\n", uri, suite, strings.Join(s.Components, " "))
			}
		}
	}
	return out.String()
}
