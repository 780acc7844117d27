package binary

import (
	"strings"
	"testing"
)

func TestStartReportsWhatTheProcessSaid(t *testing.T) {
	_, err := start(Spec{Name: "sh", Path: "/bin/sh", Args: []string{"-c", "echo no luck; exit 3"}, Ready: "ready"})
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "exit status 3") {
		t.Fatalf("got %v", err)
	}
}

func TestStopReportsTheExitCode(t *testing.T) {
	p, err := start(Spec{
		Name: "sh", Path: "/bin/sh", Ready: "ready",
		Args: []string{"-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "7") {
		t.Fatalf("got %v", err)
	}
}

func TestEnvironHidesConfiguration(t *testing.T) {
	t.Setenv("WADI_STORE", "mem://")
	for _, kv := range Environ() {
		if strings.HasPrefix(kv, "WADI_") {
			t.Errorf("the binary would see %s", kv)
		}
	}
}
