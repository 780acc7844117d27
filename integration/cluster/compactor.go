package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
)

// Compactor is a process that serves no clients, with the configuration of the cluster's first agent.
type Compactor struct {
	Name string
	HTTP string // of the operations endpoint

	t   testing.TB
	run *binary.Process
}

// StartCompactor runs one and waits until it is a member.
func (c *Cluster) StartCompactor(name string) *Compactor {
	c.t.Helper()
	p := &Compactor{t: c.t, Name: name, HTTP: fmt.Sprintf("127.0.0.1:%d", binary.FreePort(c.t))}
	a := c.Agents[0]
	p.run = binary.Start(c.t, binary.Spec{
		Name: "compactor " + name, Path: binary.Path(c.t), Args: []string{"compactor", "--config", a.file, "--http", p.HTTP},
		Env: a.env, Ready: "ready",
	})
	return p
}

// Kill is kill -9.
func (p *Compactor) Kill() { p.t.Helper(); p.run.Kill() }

// Stop is SIGTERM; the process must exit with 0. It returns how long that took.
func (p *Compactor) Stop() time.Duration {
	p.t.Helper()
	began := time.Now()
	if err := p.run.Stop(); err != nil {
		p.t.Fatalf("compactor %s: %v", p.Name, err)
	}
	return time.Since(began)
}

// Metric is the sum of the series of an operations endpoint whose line begins with prefix; 0 when there is none, or no
// answer.
func Metric(address, prefix string) (sum float64) {
	client := http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if line := lines.Text(); strings.HasPrefix(line, prefix) {
			if n, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64); err == nil {
				sum += n
			}
		}
	}
	return sum
}

// ofBusyMachines is what the log says of tasks that fail because a session was lost, or etcd not heard of in time.
var ofBusyMachines = regexp.MustCompile("no session|session lost|etcd unavailable|deadline exceeded")

// Failures returns an error when tasks of a compactor failed, as the metric has it, for another reason than a machine that
// is busy.
func Failures(failed float64, output string) error {
	if failed == 0 {
		return nil
	}
	explained := 0
	for line := range strings.Lines(output) {
		if !strings.Contains(line, "a task of the compactor failed") {
			continue
		}
		if explained++; !ofBusyMachines.MatchString(line) {
			return errors.New(line)
		}
	}
	if explained == 0 {
		return fmt.Errorf("%v tasks failed, and the log does not say why", failed)
	}
	return nil
}
