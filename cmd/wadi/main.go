// Command wadi is the one binary: the agents that serve the Kafka protocol, and the tools around them. Every
// subcommand has a file of its own; docs/cli.md describes them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal asks for a drain. Its arrival restores the default action, so that a second one kills.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}))
}
