package binary

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wadi/integration/child"
)

// Spec says how to start a process and how to tell that it serves.
type Spec struct {
	Name string // in messages
	Path string
	Args []string
	Env  []string // on top of Environ
	Dir  string
	// Ready is the text of the line that the process prints when it serves; "" does not wait.
	Ready string
	// Within bounds the wait for that line; 0 means two minutes.
	Within time.Duration
	// Quiet leaves it to the test whether its output is worth showing when the test fails.
	Quiet bool
}

// Process is a running child.
type Process struct {
	Name string
	// Started is the time from the start to the ready line.
	Started time.Duration
	// ReadyLine is the line that held Spec.Ready.
	ReadyLine string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended; err is set before
	err  error
	// asked is set before the test ends the process. One that ends without that fails its test.
	asked atomic.Bool

	mu struct {
		sync.Mutex
		tail []string // the last lines of its output
	}
}

// keptLines of a process's output are shown when its test fails.
const keptLines = 60

// Start starts the process and waits until it is ready. It is stopped with SIGTERM at the end of the test, which fails
// when that takes more than 90 s, or when the process ended before without being asked; Stop and Kill do it earlier.
func Start(t testing.TB, s Spec) *Process {
	t.Helper()
	p, err := start(s)
	if err != nil {
		t.Fatalf("start %s: %v", s.Name, err)
	}
	t.Cleanup(func() {
		switch {
		case !p.ended():
			if err := p.Stop(); err != nil {
				t.Errorf("stop %s: %v", s.Name, err)
			}
		case !p.asked.Load():
			t.Errorf("%s ended by itself: %v", s.Name, p.exit())
		}
		if t.Failed() && !s.Quiet {
			t.Logf("the last lines of %s:\n%s", s.Name, p.Output())
		}
	})
	return p
}

func start(s Spec) (*Process, error) {
	p := &Process{Name: s.Name, done: make(chan struct{}), cmd: exec.Command(s.Path, s.Args...)}
	p.cmd.Dir = s.Dir
	p.cmd.Env = append(Environ(), s.Env...)
	p.cmd.WaitDelay = 5 * time.Second // a grandchild may hold the output open
	out, in := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = in, in
	begin := time.Now()
	if err := child.Start(p.cmd); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.read(out, s.Ready, ready)
	}()
	go func() {
		p.err = p.cmd.Wait()
		in.Close()
		<-read
		close(p.done)
	}()
	if s.Ready == "" {
		return p, nil
	}
	within := s.Within
	if within == 0 {
		within = 2 * time.Minute
	}
	select {
	case p.ReadyLine = <-ready:
		p.Started = time.Since(begin)
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("ended before it was ready: %w\n%s", p.exit(), p.Output())
	case <-time.After(within):
		p.Kill()
		return nil, fmt.Errorf("not ready after %v\n%s", within, p.Output())
	}
}

// NoCompactor keeps a process' compactor from working while a test lasts: records with old timestamps would be
// over their retention.
const NoCompactor = "WADI_COMPACTOR_INTERVAL=1h"

// LongSession is for tests of what clients see of agents that live. A disk or a processor that others keep busy may hold up
// the renewals of a lease for longer than the default, of wadi dev, too; then clients would see agents come and go.
const LongSession = "WADI_SESSION_TTL=1m"

// Environ is the test's environment without WADI_ variables: the binary refuses those that are no configuration keys,
// and takes those that are.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "WADI_") })
}

func (p *Process) read(out io.Reader, want string, ready chan<- string) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		p.mu.Lock()
		p.mu.tail = append(p.mu.tail, line)
		if len(p.mu.tail) > keptLines {
			p.mu.tail = p.mu.tail[1:]
		}
		p.mu.Unlock()
		if want != "" && strings.Contains(line, want) {
			select {
			case ready <- line:
			default: // it said so before
			}
		}
	}
	// A line beyond the buffer ends the scanner; the process must not block on a full pipe for it.
	_, _ = io.Copy(io.Discard, out)
}

// Output is the last lines that the process printed.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.mu.tail, "\n")
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Freeze stops the process where it is (SIGSTOP) and returns when it does nothing more. Thaw lets it go on.
func (p *Process) Freeze() error { return child.Freeze(p.Pid()) }

// Thaw ends a Freeze (SIGCONT).
func (p *Process) Thaw() error { return p.Signal(syscall.SIGCONT) }

// Kill ends the process with SIGKILL and returns when it is gone.
func (p *Process) Kill() {
	p.asked.Store(true)
	// The process may have ended by itself; that is what was wanted.
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks with SIGTERM and waits up to 90 s, longer than an agent drains. It returns an error when the process had to be
// killed or ended with a code other than 0.
func (p *Process) Stop() error {
	p.asked.Store(true)
	// A stopped process takes no SIGTERM until it goes on.
	err := errors.Join(p.Thaw(), p.Signal(syscall.SIGTERM))
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(90 * time.Second):
		p.Kill()
		return errors.New("still running 90 s after SIGTERM")
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait is for a process that is expected to end by itself: it returns how it did, or an error after the given time.
func (p *Process) Wait(within time.Duration) error {
	p.asked.Store(true)
	select {
	case <-p.done:
		return p.err
	case <-time.After(within):
		return fmt.Errorf("still running after %v", within)
	}
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *Process) exit() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("exit code 0")
}
