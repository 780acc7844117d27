package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// suite is one line of the table: a shell command with the time it should take on a warm machine with 2 cores. Its name is
// free, or the packages that it tests with commas between them: those that mostly wait run side by side.
type suite struct {
	name    string
	budget  time.Duration
	command string
}

// defaultBudget is what an integration package without a line of its own gets.
const defaultBudget = 2 * time.Minute

// parse reads lines of the form "name budget command..."; '#' starts a comment line. Every problem is reported.
func parse(r io.Reader) ([]suite, error) {
	var (
		suites   []suite
		problems []string
		seen     = map[string]bool{}
	)
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			problems = append(problems, fmt.Sprintf("line %d: want name, budget, command: %q", n, line))
			continue
		}
		budget, err := time.ParseDuration(f[1])
		switch {
		case err != nil || budget <= 0:
			problems = append(problems, fmt.Sprintf("line %d: budget %q is not a positive duration", n, f[1]))
		case seen[f[0]]:
			problems = append(problems, fmt.Sprintf("line %d: suite %q stands twice", n, f[0]))
		}
		seen[f[0]] = true
		// The command keeps its inner spaces: it is the rest of the line, behind the first two words.
		command := strings.TrimSpace(strings.TrimPrefix(line, f[0]))
		command = strings.TrimSpace(strings.TrimPrefix(command, f[1]))
		suites = append(suites, suite{name: f[0], budget: budget, command: command})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read suites: %w", err)
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("suites:\n  %s", strings.Join(problems, "\n  "))
	}
	return suites, nil
}

// withPackages appends a suite for every package that stands in no suite's name, so that a new integration
// package runs from its first commit on. Packages are import paths relative to the module: "integration/clients".
func withPackages(suites []suite, packages []string) []suite {
	named := map[string]bool{}
	for _, s := range suites {
		for name := range strings.SplitSeq(s.name, ",") {
			named[name] = true
		}
	}
	for _, p := range packages {
		if !named[p] {
			suites = append(suites, suite{name: p, budget: defaultBudget, command: "go test -count=1 ./" + p})
		}
	}
	return suites
}
