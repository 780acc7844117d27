package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/child"
)

// member is a process that takes part in a consumer group: it reports its partitions, what it processes and what it
// commits, and takes orders on stdin (see go/record/member.go).
type member struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *tail
	done   chan struct{} // closed when the process has ended and all of its output is read

	mu        sync.Mutex
	assigned  []int32
	processed []event
	committed map[int32]int64
}

// event is a line of a member's output.
type event struct {
	Event      string
	Partitions []int32
	Partition  int32
	Offset     int64
	Value      string
}

// startMember runs a member until it leaves, is killed, or the test ends.
func startMember(t *testing.T, g grouper, bootstrap, group, topic string) *member {
	t.Helper()
	name, args := g.member(bootstrap, group, topic)
	m := &member{cmd: exec.Command(name, args...), stderr: &tail{}, done: make(chan struct{}), committed: map[int32]int64{}}
	m.cmd.Dir = binary.Root()
	m.cmd.Stderr = m.stderr
	stdout, err := m.cmd.StdoutPipe()
	if err == nil {
		m.stdin, err = m.cmd.StdinPipe()
	}
	if err == nil {
		err = child.Start(m.cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.done)
		m.read(stdout)
		_ = m.cmd.Wait() // how it ended matters only where a test asks
	}()
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("member %d of group %s said:\n%s", m.cmd.Process.Pid, group, m.stderr)
		}
	})
	return m
}

func (m *member) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintf(m.stderr, "not an event: %s\n", lines.Text())
			continue
		}
		m.mu.Lock()
		switch e.Event {
		case "assigned":
			m.assigned = e.Partitions
		case "record":
			m.processed = append(m.processed, e)
		case "committed":
			m.committed[e.Partition] = e.Offset
		}
		m.mu.Unlock()
	}
}

// order tells the member something: "replay" or "leave".
func (m *member) order(t *testing.T, word string) {
	t.Helper()
	if _, err := io.WriteString(m.stdin, word+"\n"); err != nil {
		t.Fatalf("order %q: %v", word, err)
	}
}

// leave lets the member go in good order.
func (m *member) leave(ctx context.Context, t *testing.T) {
	t.Helper()
	m.order(t, "leave")
	select {
	case <-m.done:
	case <-ctx.Done():
		t.Fatal("the member does not leave")
	}
	if !m.cmd.ProcessState.Success() {
		t.Errorf("the member ended with %v:\n%s", m.cmd.ProcessState, m.stderr)
	}
}

// kill ends the member without a word to anyone.
func (m *member) kill() {
	_ = m.cmd.Process.Kill() // it may have ended
	<-m.done
}

func (m *member) partitions() []int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.assigned
}

// values counts how often the member processed each value, from the nth record on.
func (m *member) values(from int) map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[string]int{}
	for _, e := range m.processed[from:] {
		count[e.Value]++
	}
	return count
}

func (m *member) records() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.processed)
}

func (m *member) commits() map[int32]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	commits := map[int32]int64{}
	for p, offset := range m.committed {
		commits[p] = offset
	}
	return commits
}

// tail keeps the last lines that a process wrote.
type tail struct {
	mu    sync.Mutex
	lines []string
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, strings.Split(strings.TrimSpace(string(b)), "\n")...)
	t.lines = t.lines[max(0, len(t.lines)-20):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.lines, "\n")
}

// eventually waits until done says yes.
func eventually(ctx context.Context, t *testing.T, what string, done func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	begin := time.Now()
	for {
		ok, seen := done()
		if ok {
			t.Logf("%4.1f s: %s", time.Since(begin).Seconds(), what)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s; last seen: %s", what, seen)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// grouper is a client whose programs can be members of consumer groups.
type grouper interface {
	Name() string
	Check() error
	// member is the command of a member.
	member(bootstrap, group, topic string) (name string, args []string)
}

func (c goClient) member(bootstrap, group, topic string) (string, []string) {
	return "env", []string{"SARAMA_VERSION=" + c.version, goProgram(), c.name, "member", bootstrap, group, topic}
}

func (kafkaJS) member(bootstrap, group, topic string) (string, []string) {
	return "node", jsArgs("member.js", bootstrap, group, topic)
}

// pythonMember is confluent-kafka with one of the group protocols.
type pythonMember struct {
	python
	protocol string
}

func (m pythonMember) Name() string { return "python " + m.protocol }

func (m pythonMember) member(bootstrap, group, topic string) (string, []string) {
	program := filepath.Join(binary.Root(), "integration/clients/python/member.py")
	return venvPython(), []string{program, bootstrap, group, topic, m.protocol}
}

// javaMember is kafka-clients with one of the group protocols.
type javaMember struct {
	java
	protocol string
}

func (m javaMember) Name() string { return "java " + m.protocol }

func (m javaMember) member(bootstrap, group, topic string) (string, []string) {
	return "java", javaArgs(javaClients, "wadi.Member", bootstrap, group, topic, m.protocol)
}
