package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/baseimage"
)

func baseImage(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("base-image", flag.ContinueOnError)
	out := flags.String("out", filepath.Join(defaultDir, "cache", "base.tar"), "archive to keep the image in")
	name := flags.String("name", "localhost/axon/base:bookworm", "name of the image")
	suite := flags.String("suite", "bookworm", "Debian release")
	include := flags.String("include", "ca-certificates", "packages beyond the minimal set, separated by commas")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	archive, err := filepath.Abs(*out)
	if err != nil {
		return fmt.Errorf("resolve %s: %w", *out, err)
	}
	return baseimage.Make(ctx, baseimage.Options{
		Suite: *suite, Name: *name, Archive: archive, Progress: os.Stderr,
		Include: strings.FieldsFunc(*include, func(r rune) bool { return r == ',' }),
	})
}
