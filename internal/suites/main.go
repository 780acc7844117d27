// Command suites runs the test suites listed in a file, one after the other, and prints at the end what each of them
// took beside its time budget. It is what `go tool task test` calls.
//
// usage: suites FILE
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (bool, error) {
	if len(args) != 1 {
		return false, fmt.Errorf("want one argument, the file that lists the suites")
	}
	f, err := os.Open(args[0])
	if err != nil {
		return false, err
	}
	defer f.Close()
	suites, err := parse(f)
	if err != nil {
		return false, err
	}
	packages, err := integrationPackages(ctx)
	if err != nil {
		return false, err
	}
	return report(runAll(ctx, withPackages(suites, packages), os.Stdout, os.Stderr), os.Stdout), nil
}

// integrationPackages lists the packages under integration/ that have tests, relative to the module.
func integrationPackages(ctx context.Context) ([]string, error) {
	const format = `{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", "list", "-f", format, "./integration/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list integration packages: %w", err)
	}
	var packages []string
	for _, p := range strings.Fields(string(out)) {
		packages = append(packages, strings.TrimPrefix(p, "wadi/"))
	}
	return packages, nil
}
