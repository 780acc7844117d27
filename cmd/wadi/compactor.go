package main

import (
	"context"

	"github.com/spf13/cobra"

	"wadi/internal/config"
)

func (a *app) compactorCommand() *cobra.Command {
	return a.processCommand(&cobra.Command{
		Use:   "compactor",
		Short: "Run a process that works on what is stored and serves no clients",
		Long: "Run a compactor of its own: it merges, retains, compacts and collects garbage, and shares that work with all\n" +
			"other processes that have the role. It takes the configuration of an agent; listeners and roles mean nothing to it.",
	}, true, func(ctx context.Context, c config.Config) error { return a.runNode(ctx, c, nil, newCompactor) })
}
