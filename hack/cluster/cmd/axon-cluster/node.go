package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/axon-io/kubectl-axon/hack/cluster/internal/cluster"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/image"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/layout"
	"github.com/axon-io/kubectl-axon/hack/cluster/internal/node"
)

// defaultDir is the state folder, below the folder the program is called in.
const defaultDir = ".cluster"

// clusterFlags are the flags that all commands on the whole cluster share.
type clusterFlags struct {
	*flag.FlagSet
	dir, bin *string
}

func newClusterFlags(name string) clusterFlags {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	return clusterFlags{
		FlagSet: flags,
		dir:     flags.String("dir", defaultDir, "folder for all state"),
		bin:     flags.String("bin", "", "folder of the kube binary (default: next to this program)"),
	}
}

func (f clusterFlags) cluster(args []string) (cluster.Cluster, error) {
	if err := f.Parse(args); err != nil {
		return cluster.Cluster{}, flag.ErrHelp
	}
	l, err := layout.New(*f.dir, *f.bin)
	return cluster.Cluster{Layout: l, Progress: os.Stderr}, err
}

func up(ctx context.Context, args []string) error {
	flags := newClusterFlags("up")
	egress := flags.Bool("egress", false, "let pods reach beyond this machine, as agents of a real model provider must")
	c, err := flags.cluster(args)
	if err != nil {
		return err
	}
	c.Egress = *egress
	return c.Up(ctx)
}

func down(_ context.Context, args []string) error {
	flags := newClusterFlags("down")
	all := flags.Bool("all", false, "remove the binaries and caches too")
	c, err := flags.cluster(args)
	if err != nil {
		return err
	}
	return c.Down(*all)
}

func status(ctx context.Context, args []string) error {
	c, err := newClusterFlags("status").cluster(args)
	if err != nil {
		return err
	}
	return c.Status(ctx, os.Stdout)
}

func loadImage(ctx context.Context, args []string) error {
	flags := newClusterFlags("load-image")
	c, err := flags.cluster(args)
	if err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("load-image needs at least one archive")
	}
	for _, archive := range flags.Args() {
		began := time.Now()
		names, err := image.Load(ctx, node.Socket(c.Layout), archive)
		if err != nil {
			return err
		}
		fmt.Printf("%s  %.1f s\n", strings.Join(names, " "), time.Since(began).Seconds())
	}
	return nil
}
