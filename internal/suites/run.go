package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// limit ends a suite that hangs. It leaves room for a first compile on a cold machine.
const limit = 30 * time.Minute

// outcome is how a suite went.
type outcome struct {
	suite
	err  error
	took time.Duration
	cpu  time.Duration // of all its processes that were waited for
}

// runAll runs the suites one after the other, the rest too when one fails, and stops early only when ctx ends.
func runAll(ctx context.Context, suites []suite, stdout, stderr io.Writer) []outcome {
	var outcomes []outcome
	for _, s := range suites {
		if ctx.Err() != nil {
			outcomes = append(outcomes, outcome{suite: s, err: ctx.Err()})
			continue
		}
		fmt.Fprintf(stdout, "\n=== %s: %s\n", s.name, s.command)
		begin := time.Now()
		cpu, err := runOne(ctx, s, stdout, stderr)
		outcomes = append(outcomes, outcome{suite: s, err: err, took: time.Since(begin), cpu: cpu})
		if err != nil {
			fmt.Fprintf(stdout, "=== %s failed: %v\n", s.name, err)
		}
	}
	return outcomes
}

func runOne(ctx context.Context, s suite, stdout, stderr io.Writer) (cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", s.command)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A process group of its own: when the limit ends a suite, the processes that it started end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if cmd.Env, err = environ(); err != nil {
		return 0, err
	}
	err = cmd.Run()
	if cmd.ProcessState != nil {
		cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return cpu, err
}

// environ lets the programs that `install` brought win over what the machine happens to have.
func environ() ([]string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	tools := filepath.Join(dir, ".tools")
	path := []string{filepath.Join(tools, "bin"), filepath.Join(tools, "venv", "bin"), os.Getenv("PATH")}
	return append(os.Environ(), "PATH="+strings.Join(path, string(os.PathListSeparator))), nil
}

// report prints the table and tells whether every suite passed. A budget that was exceeded is a remark, not a failure:
// machines differ, and a timing must never hide what the tests say.
func report(outcomes []outcome, w io.Writer) bool {
	passed := true
	var took, budget, cpu time.Duration
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\nsuite\tresult\tseconds\tbudget\tcpu\t")
	for _, o := range outcomes {
		result, remark := "ok", ""
		if o.err != nil {
			result, passed = "FAILED", false
		}
		if o.took > o.budget {
			remark = "over budget"
		}
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%.0f\t%.0f\t%s\n", o.name, result, o.took.Seconds(), o.budget.Seconds(), o.cpu.Seconds(), remark)
		took += o.took
		budget += o.budget
		cpu += o.cpu
	}
	fmt.Fprintf(table, "total\t\t%.0f\t%.0f\t%.0f\t\n", took.Seconds(), budget.Seconds(), cpu.Seconds())
	table.Flush()
	return passed
}
