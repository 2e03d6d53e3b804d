// Command axon-cluster brings a real Kubernetes up on a bare Linux machine,
// without Docker, and takes it down again without a trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/supervise"
)

const usage = `usage: axon-cluster COMMAND [flags]

  up             bring the cluster up, or repair it
  down           take it down and remove its state
  status         list its components
  load-image     load image archives into its node
  base-image     make the base image for the project's images
  control-plane  only the API: up, down, or run in the foreground

Each command explains its flags with -h.
`

// A command parses its own arguments.
type command func(ctx context.Context, args []string) error

var commands = map[string]command{
	"up":            up,
	"down":          down,
	"status":        status,
	"load-image":    loadImage,
	"base-image":    baseImage,
	"control-plane": controlPlane,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), supervise.Interrupt...)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "axon-cluster: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return flag.ErrHelp
	}
	do, ok := commands[args[0]]
	if !ok {
		fmt.Fprint(os.Stderr, usage)
		return flag.ErrHelp
	}
	return do(ctx, args[1:])
}
