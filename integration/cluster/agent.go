package cluster

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// Agent is one `wadi agent --config FILE` process, running or not.
type Agent struct {
	Name    string
	Address string // that the agent advertises: its Kafka listener, or the proxy of Options.Rules in front of it
	HTTP    string // of the operations endpoint
	ToEtcd  *Link  // nil without Options.Links
	ToStore *Link

	t      testing.TB
	env    []string
	listen string // the Kafka listener
	file   string // of the configuration
	run    *binary.Process
}

// Configure writes the configuration: etcd's URL, the store's, the session's time to live, and more lines.
func (a *Agent) Configure(with map[string]string) {
	a.t.Helper()
	text := fmt.Sprintf("cluster: cluster\nlisteners: [PLAINTEXT://%s]\nadvertised.listeners: [PLAINTEXT://%s]\nhttp: %s\n"+
		"etcd: {endpoints: [%s]}\nstore: %q\nsession.ttl: %s\nkafka: {auto.create.topics.enable: false}\n%s",
		a.listen, a.Address, a.HTTP, with["etcd"], with["store"], with["ttl"], with["more"])
	if a.file == "" {
		a.file = filepath.Join(a.t.TempDir(), "wadi.yaml")
	}
	if err := os.WriteFile(a.file, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *Agent) spec(ready string) binary.Spec {
	return binary.Spec{
		Name: "agent " + a.Name, Path: binary.Path(a.t), Args: []string{"agent", "--config", a.file}, Env: a.env,
		Ready: ready,
	}
}

// Start starts the process and waits until it serves. It returns how long that took.
func (a *Agent) Start() time.Duration {
	a.t.Helper()
	a.run = binary.Start(a.t, a.spec("ready "))
	return a.run.Started
}

// Launch starts the process without waiting: it may be about to refuse.
func (a *Agent) Launch() {
	a.t.Helper()
	a.run = binary.Start(a.t, a.spec(""))
}

// Kill ends the process with SIGKILL.
func (a *Agent) Kill() { a.t.Helper(); a.run.Kill() }

// Pause freezes the process: nothing that reaches it from now on is answered before Resume.
func (a *Agent) Pause() {
	a.t.Helper()
	if err := a.run.Freeze(); err != nil {
		a.t.Fatalf("pause agent %s: %v", a.Name, err)
	}
}

// Resume lets a paused process go on.
func (a *Agent) Resume() {
	a.t.Helper()
	if err := a.run.Thaw(); err != nil {
		a.t.Fatalf("resume agent %s: %v", a.Name, err)
	}
}

// Stop ends the process with SIGTERM; the test fails unless it drains and exits with code 0. It returns how long that
// took.
func (a *Agent) Stop() time.Duration {
	a.t.Helper()
	began := time.Now()
	if err := a.run.Stop(); err != nil {
		a.t.Errorf("agent %s did not end in order: %v\n%s", a.Name, err, a.run.Output())
	}
	return time.Since(began)
}

// Refusal waits until the process has ended by itself with an error and returns what it said last. The test fails when
// it goes on or ends well.
func (a *Agent) Refusal(within time.Duration) string {
	a.t.Helper()
	err := a.run.Wait(within)
	out := a.run.Output()
	if err == nil {
		a.t.Fatalf("agent %s ended with code 0:\n%s", a.Name, out)
	}
	if !strings.Contains(err.Error(), "exit status") {
		a.t.Fatalf("agent %s: %v:\n%s", a.Name, err, out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// Output is the last lines that the process printed.
func (a *Agent) Output() string { return a.run.Output() }

// Ready asks /readyz: whether the agent serves, and the text that came with it.
func (a *Agent) Ready() (bool, string) {
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + a.HTTP + "/readyz")
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return false, err.Error()
	}
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body))
}
