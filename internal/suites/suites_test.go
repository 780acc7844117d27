package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	suites, err := parse(strings.NewReader("# comment\n\nunit  90s  go test   ./x -run 'a  b'\nslow 2m true\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []suite{{"unit", 90 * time.Second, "go test   ./x -run 'a  b'"}, {"slow", 2 * time.Minute, "true"}}
	if len(suites) != len(want) || suites[0] != want[0] || suites[1] != want[1] {
		t.Fatalf("got %+v, want %+v", suites, want)
	}
}

func TestParseReportsEveryProblem(t *testing.T) {
	_, err := parse(strings.NewReader("short 1s\nbad soon true\nzero 0s true\ntwice 1s true\ntwice 1s true\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"line 1", "line 2", "line 3", "line 5"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestTheListParses(t *testing.T) {
	f, err := os.Open("../../.ci/suites")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	suites, err := parse(f)
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	for _, s := range suites {
		total += s.budget
	}
	if total > 20*time.Minute {
		t.Errorf("the budgets sum up to %v, the whole suite must take less than 20 minutes", total)
	}
}

func TestPackageWithoutLineRuns(t *testing.T) {
	got := withPackages([]suite{{name: "integration/a,integration/c", command: "true"}}, []string{"integration/a", "integration/b", "integration/c"})
	if len(got) != 2 || got[1].command != "go test -count=1 ./integration/b" || got[1].budget != defaultBudget {
		t.Fatalf("got %+v", got)
	}
}

func TestFailureIsReportedAndTheRestRuns(t *testing.T) {
	var log bytes.Buffer
	outcomes := runAll(t.Context(), []suite{
		{"breaks", time.Minute, "echo from-breaks; exit 3"},
		{"works", time.Minute, "echo from-works; cat /dev/zero | head -c 100000000 > /dev/null"},
	}, &log, &log)
	if outcomes[0].err == nil || outcomes[1].err != nil || outcomes[1].cpu <= 0 {
		t.Fatalf("outcomes %+v", outcomes)
	}
	for _, want := range []string{"from-breaks", "from-works"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("output lacks %q", want)
		}
	}
	var table bytes.Buffer
	if report(outcomes, &table) {
		t.Error("report says that all passed")
	}
	if !strings.Contains(table.String(), "FAILED") {
		t.Errorf("table names no failure:\n%s", table.String())
	}
}

func TestToolsComeFirstInThePath(t *testing.T) {
	var log bytes.Buffer
	outcomes := runAll(t.Context(), []suite{{"path", time.Minute, `echo "$PATH"`}}, &log, &log)
	if outcomes[0].err != nil || !strings.Contains(log.String(), "/.tools/bin:") {
		t.Errorf("%v\n%s", outcomes[0].err, log.String())
	}
}

func TestOverBudgetIsARemark(t *testing.T) {
	var table bytes.Buffer
	ok := report([]outcome{{suite: suite{name: "slow", budget: time.Second}, took: 3 * time.Second}}, &table)
	if !ok || !strings.Contains(table.String(), "over budget") {
		t.Errorf("passed=%v\n%s", ok, table.String())
	}
}

func TestEndedContextFailsWhatDidNotRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var log bytes.Buffer
	outcomes := runAll(ctx, []suite{{"never", time.Minute, "echo ran"}}, &log, &log)
	if !errors.Is(outcomes[0].err, context.Canceled) || strings.Contains(log.String(), "ran") {
		t.Fatalf("outcomes %+v, output %q", outcomes, log.String())
	}
}
