package image

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

var unpacking = regexp.MustCompile(`(?m)^unpacking (\S+) `)

// Load imports an archive (of docker's or the OCI's format) where the kubelet
// finds it, and returns the names of its images.
func Load(ctx context.Context, socket, archive string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ctr", "--address", socket, "--namespace", "k8s.io",
		"images", "import", "--snapshotter", "overlayfs", archive).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("load %s: %w: %s", archive, err, strings.TrimSpace(string(out)))
	}
	return loadedNames(string(out)), nil
}

// loadedNames reads the names from the importer's messages.
func loadedNames(output string) []string {
	var names []string
	for _, match := range unpacking.FindAllStringSubmatch(output, -1) {
		names = append(names, match[1])
	}
	return names
}
