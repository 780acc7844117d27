package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the command ran and did not succeed
	exitUsage  = 2 // flags, arguments or configuration are wrong: nothing was tried
)

// stdio is everything a command sees of its process.
type stdio struct {
	in      io.Reader
	out     io.Writer
	err     io.Writer
	environ []string
}

// app is the state of one invocation.
type app struct {
	stdio
	newAgent  agentFunc
	output    string // --output
	bootstrap string // --bootstrap-server
	started   bool   // flags and arguments were accepted, the command's own work began
}

// usageError marks an error that a command finds in its flags or arguments after cobra accepted them.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// run executes one command line and returns the exit code. It prints the error, if any, as "wadi: ..." on stderr.
func run(ctx context.Context, args []string, io stdio) int {
	return (&app{stdio: io, newAgent: newAgent}).run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(a.err, "wadi: %v\n", err)
	if a.started && !errors.As(err, new(usageError)) {
		return exitFailed
	}
	fmt.Fprintf(a.err, "Run '%s --help' for the usage.\n", cmd.CommandPath())
	return exitUsage
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "wadi",
		Short:         "Kafka-compatible streaming on object storage",
		Long:          "Wadi speaks the Kafka protocol and keeps what it is given in object storage, ordered by etcd.\n'wadi dev' starts everything in one process.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs, // so that an unknown command reaches group, which names it
		RunE:          group,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != outputText && a.output != outputJSON {
				return usagef("--output %q: there are text and json", a.output)
			}
			return nil
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&a.bootstrap, "bootstrap-server", "localhost:9092", "Kafka endpoints, comma separated")
	root.PersistentFlags().StringVar(&a.output, "output", outputText, "text or json")
	root.AddCommand(
		a.devCommand(),
		a.agentCommand(),
		a.compactorCommand(),
		a.demoCommand(),
		a.topicCommand(),
		a.groupCommand(),
		a.txnCommand(),
		a.configCommand(),
		a.produceCommand(),
		a.consumeCommand(),
		a.fsckCommand(),
		a.storageCommand(),
		a.segmentCommand(),
		a.versionCommand(),
	)
	return root
}

// group is the action of a command that only has subcommands.
func group(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q", cmd.CommandPath()+" "+args[0])
	}
	cmd.SetOut(cmd.ErrOrStderr())
	if err := cmd.Help(); err != nil {
		return err
	}
	return usagef("%s needs a command", cmd.CommandPath())
}

// do makes a command's action. Whatever fails before it (flags, arguments) is a usage error. Arguments are names: none is
// empty.
func (a *app) do(action func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if slices.Contains(args, "") {
			return usagef("an argument is empty")
		}
		a.started = true
		return action(cmd.Context(), args)
	}
}
