package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/child"
)

// transactional is a client with a program whose producers make transactions.
type transactional interface {
	Name() string
	Check() error
	// transact is the command of that program; java's Transactor says which orders it takes.
	transact(bootstrap string) (name string, args []string)
	// shown is what an application sees of what goes wrong.
	shown() shownErrors
}

// shownErrors are names of errors by which a client tells an application what happened.
type shownErrors struct {
	tooLarge    string // a record that the broker does not take
	afterFailed string // a commit after that; some say it by what failed, or by the state that they are in
	// Of a producer that was fenced: a send by which it learns, and the commit after that; a commit by which it learns;
	// everything else.
	fencedSend, fencedCommit, fencedEnd, fenced string
	// expelled is what offsets meet of a member that the group does not have any more.
	expelled string
	// late is the commit of a transaction that took longer than its timeout; Apache Kafka 4.3.1 says something else
	// (KAFKA-20785, Semantics line 79).
	late, lateElsewhere string
}

func (java) transact(bootstrap string) (string, []string) {
	return "java", javaArgs(javaClients, "wadi.Transact", bootstrap)
}

// kafka-clients speaks transaction version 2.
func (java) shown() shownErrors {
	return shownErrors{
		tooLarge: "RecordTooLargeException", afterFailed: "RecordTooLargeException or KafkaException",
		fencedSend: "InvalidProducerEpochException", fencedCommit: "InvalidProducerEpochException",
		fencedEnd: "ProducerFencedException", fenced: "ProducerFencedException",
		expelled: "CommitFailedException",
		late:     "ProducerFencedException", lateElsewhere: "InvalidTxnStateException",
	}
}

func (python) transact(bootstrap string) (string, []string) {
	return venvPython(), []string{filepath.Join(binary.Root(), "integration/clients/python/transact.py"), bootstrap}
}

// librdkafka speaks transaction version 1, whatever the broker offers.
func (python) shown() shownErrors {
	return shownErrors{
		tooLarge: "MSG_SIZE_TOO_LARGE", afterFailed: "MSG_SIZE_TOO_LARGE",
		fencedSend: "_FENCED", fencedCommit: "_FENCED", fencedEnd: "_FENCED", fenced: "_FENCED",
		expelled: "UNKNOWN_MEMBER_ID", late: "_FENCED", lateElsewhere: "_FENCED",
	}
}

var transactionals = []transactional{python{}, java{}}

// transactors is a running program with producers in it.
type transactors struct {
	cmd    *exec.Cmd
	stderr *tail
	done   chan struct{} // closed when the process has ended and all of its output is read

	mu      sync.Mutex // held while stdin is written, too
	stdin   io.Writer
	answers map[string]chan answer // by producer
}

// answer is what a producer says to an order.
type answer struct {
	Of     string
	Error  string
	Stored []int64  // of send
	Values []string // of poll
}

// startTransactors runs the program until it is killed or the test ends.
func startTransactors(t *testing.T, c transactional, bootstrap string) *transactors {
	t.Helper()
	name, args := c.transact(bootstrap)
	p := &transactors{cmd: exec.Command(name, args...), stderr: &tail{}, done: make(chan struct{}), answers: map[string]chan answer{}}
	p.cmd.Dir = binary.Root()
	p.cmd.Stderr = p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = child.Start(p.cmd)
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		p.read(stdout)
		_ = p.cmd.Wait() // it is always killed
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("the producers of %s said:\n%s", c.Name(), p.stderr)
		}
	})
	return p
}

func (p *transactors) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			fmt.Fprintf(p.stderr, "not an answer: %s\n", lines.Text())
			continue
		}
		p.mu.Lock()
		to := p.answers[a.Of]
		p.mu.Unlock()
		select {
		case to <- a:
		default:
			fmt.Fprintf(p.stderr, "an answer that nobody waits for: %s\n", lines.Text())
		}
	}
}

// kill ends the process without a word to anyone.
func (p *transactors) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// transactor is one producer, with the consumer that it may have.
type transactor struct {
	t       *testing.T
	ctx     context.Context
	program *transactors
	name    string
	answers chan answer
}

// producer opens one with a transactional id.
func (p *transactors) producer(ctx context.Context, t *testing.T, id string, timeout time.Duration) *transactor {
	t.Helper()
	p.mu.Lock()
	x := &transactor{t: t, ctx: ctx, program: p, name: fmt.Sprintf("%s#%d", id, len(p.answers)), answers: make(chan answer, 1)}
	p.answers[x.name] = x.answers
	p.mu.Unlock()
	x.do("open", id, fmt.Sprint(timeout.Milliseconds()))
	return x
}

// ask gives an order and waits for the answer, whatever it is.
func (x *transactor) ask(words ...string) answer {
	x.t.Helper()
	x.program.mu.Lock()
	_, err := fmt.Fprintf(x.program.stdin, "%s %s\n", x.name, strings.Join(words, " "))
	x.program.mu.Unlock()
	if err != nil {
		x.t.Fatalf("%s: %s: %v\n%s", x.name, words[0], err, x.program.stderr)
	}
	select {
	case a := <-x.answers:
		return a
	case <-x.program.done:
		x.t.Fatalf("%s: %s: the program ended\n%s", x.name, words[0], x.program.stderr)
	case <-x.ctx.Done():
		x.t.Fatalf("%s: %s: no answer\n%s", x.name, words[0], x.program.stderr)
	}
	panic("not reached")
}

// do gives an order that must be carried out.
func (x *transactor) do(words ...string) answer {
	x.t.Helper()
	a := x.ask(words...)
	if a.Error != "" {
		x.t.Fatalf("%s: %s failed: %s\n%s", x.name, words[0], a.Error, x.program.stderr)
	}
	return a
}

// fails gives an order that must fail, and in the way that the client shows to applications, or one of the ways.
func (x *transactor) fails(want string, words ...string) {
	x.t.Helper()
	if a := x.ask(words...); !slices.Contains(strings.Split(want, " or "), a.Error) {
		x.t.Errorf("%s: %s ended with %q, want %q", x.name, words[0], a.Error, want)
	}
}

// send has records sent and returns the places that the producer was told.
func (x *transactor) send(topic string, partition int32, values ...string) []placed {
	x.t.Helper()
	a := x.do(append([]string{"send", topic, fmt.Sprint(partition)}, values...)...)
	if len(a.Stored) != len(values) {
		x.t.Fatalf("%s: %d of %d records are told of", x.name, len(a.Stored), len(values))
	}
	records := make([]placed, len(values))
	for i, value := range values {
		records[i] = placed{partition, a.Stored[i], value}
	}
	return records
}
