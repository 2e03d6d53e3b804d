package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/controlplane"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
)

func controlPlane(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("control-plane needs one of: up, down, run")
	}
	verb := args[0]
	flags := flag.NewFlagSet("control-plane "+verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "folder for all state (required)")
	bin := flags.String("bin", "", "folder of the kube binary (default: next to this program)")
	port := flags.Int("port", 0, "port of the API server on loopback (default: a free one)")
	parent := flags.Int("parent-pid", 0, "run: stop when this process ends (default: when stdin closes)")
	var apiServerFlags []string
	flags.Func("api-server-flag", "another flag of the API server, such as --feature-gates=NAME=false (repeatable)", func(text string) error {
		apiServerFlags = append(apiServerFlags, text)
		return nil
	})
	if err := flags.Parse(args[1:]); err != nil {
		return flag.ErrHelp
	}
	if *dir == "" {
		return errors.New("control-plane needs --dir")
	}
	l, err := layout.New(*dir, *bin)
	if err != nil {
		return err
	}
	o := controlplane.Options{Layout: l, Port: *port, APIServerFlags: apiServerFlags, Progress: os.Stderr}
	// The path is the only thing on stdout, for scripts.
	ready := func() { fmt.Println(l.Kubeconfig()) }
	switch verb {
	case "up":
		if err := controlplane.Up(ctx, o); err != nil {
			return fmt.Errorf("start control plane: %w", err)
		}
		ready()
		return nil
	case "run":
		return controlplane.Run(ctx, o, *parent, os.Stdin, ready)
	case "down":
		return controlplane.Down(l)
	}
	return fmt.Errorf("control-plane knows up, down and run, not %q", verb)
}
