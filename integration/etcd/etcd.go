// Package etcd runs real etcd processes for tests: on loopback, on free ports, in a temporary directory, from the
// version that go.mod names (.tools/bin/etcd, built from go.etcd.io/etcd/server/v3). A process can be stopped, killed,
// frozen and started again on its data; it never outlives its test.
package etcd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/child"
	"wadi/metadata/kv/etcdkv"
)

// Options shape the process. The zero value of a field means etcd's default, except for its pace: heartbeat and
// election are set to 10 and 100 ms, which a lone member on loopback keeps and which makes leases of 1 s possible.
type Options struct {
	QuotaBytes int64
	// Fsync has every write reach the disk, for what is measured. Without it a disk that is busy keeps no test waiting: what
	// survives the end of a process, by whatever signal, is what it gave to the kernel.
	Fsync bool
	Args  []string // further flags
}

// startTries bounds the starts of one process: a port found free may be taken before etcd binds it.
const startTries = 5

// patience bounds every wait for the process.
const patience = 2 * time.Minute

// Server is one etcd, running or not. Its methods fail the test when they cannot do what they say. It is used from the
// test's goroutine.
type Server struct {
	t       testing.TB
	bin     string
	opts    Options
	dir     string
	client  int // ports; kept over restarts, so that clients find it again
	peer    int
	run     *process // nil = stopped
	logPath string
}

// Start runs an etcd until the test ends and waits until it serves. Without a binary the test is skipped, or fails where
// the tools are required (CI=true or WADI_REQUIRE_CLIENTS=1).
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{t: t, bin: binary.Tool(t, "etcd"), opts: o, dir: t.TempDir()}
	s.logPath = filepath.Join(s.dir, "etcd.log")
	t.Cleanup(func() {
		if s.run != nil {
			s.Kill()
		}
		if t.Failed() {
			t.Logf("etcd's log ends with:\n%s", s.logTail())
		}
	})
	for try := 1; ; try++ {
		s.client, s.peer = binary.FreePort(t), binary.FreePort(t)
		err := s.start()
		if err == nil {
			return s
		}
		if try == startTries || !errors.Is(err, errExited) {
			t.Fatalf("etcd does not start: %v\n%s", err, s.logTail())
		}
	}
}

// Endpoint is the client URL.
func (s *Server) Endpoint() string { return "http://127.0.0.1:" + strconv.Itoa(s.client) }

// PID is the process id of the present run.
func (s *Server) PID() int { return s.running().pid }

// Dir is the data directory.
func (s *Server) Dir() string { return filepath.Join(s.dir, "data") }

// Client dials the server. The client is closed when the test ends.
func (s *Server) Client() *etcdkv.KV {
	s.t.Helper()
	k, err := etcdkv.Dial(etcdkv.Config{Endpoints: []string{s.Endpoint()}})
	if err != nil {
		s.t.Fatalf("dial etcd: %v", err)
	}
	s.t.Cleanup(func() {
		if err := k.Close(); err != nil {
			s.t.Errorf("close etcd client: %v", err)
		}
	})
	return k
}

// Stop ends the process in order (SIGTERM).
func (s *Server) Stop() { s.t.Helper(); s.end(syscall.SIGTERM) }

// Kill ends the process at once (SIGKILL), also a paused one.
func (s *Server) Kill() { s.t.Helper(); s.end(syscall.SIGKILL) }

// Pause freezes the process: its connections stay open and nothing answers.
func (s *Server) Pause() {
	s.t.Helper()
	if err := child.Freeze(s.running().pid); err != nil {
		s.t.Fatalf("pause etcd: %v", err)
	}
}

// Resume lets a paused process go on.
func (s *Server) Resume() { s.t.Helper(); s.signal(syscall.SIGCONT) }

// Restart starts the process again on its data and ports, after Stop or Kill, and waits until it serves.
func (s *Server) Restart() {
	s.t.Helper()
	if s.run != nil {
		s.t.Fatal("etcd runs already")
	}
	if err := s.start(); err != nil {
		s.t.Fatalf("etcd does not start again: %v\n%s", err, s.logTail())
	}
}

func (s *Server) running() *process {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatal("etcd does not run")
	}
	return s.run
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.running().pid, sig); err != nil {
		s.t.Fatalf("%v to etcd: %v", sig, err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	s.t.Helper()
	p := s.running()
	// A process that ended by itself is what the caller wanted too, but worth knowing.
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		s.t.Fatalf("%v to etcd: %v", sig, err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.exited
		s.t.Errorf("etcd did not end after %v", sig)
	}
	s.run = nil
}

var errExited = errors.New("etcd ended while starting")

func (s *Server) start() error {
	log, err := os.OpenFile(s.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	peer := "http://127.0.0.1:" + strconv.Itoa(s.peer)
	args := []string{
		"--name=test", "--data-dir=" + s.Dir(),
		"--listen-client-urls=" + s.Endpoint(), "--advertise-client-urls=" + s.Endpoint(),
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=test=" + peer,
		"--initial-cluster-token=" + strconv.FormatInt(time.Now().UnixNano(), 36),
		"--heartbeat-interval=10", "--election-timeout=100",
		"--auto-compaction-retention=0", "--log-level=info",
	}
	if !s.opts.Fsync {
		args = append(args, "--unsafe-no-fsync")
	}
	if s.opts.QuotaBytes > 0 {
		args = append(args, "--quota-backend-bytes="+strconv.FormatInt(s.opts.QuotaBytes, 10))
	}
	cmd := exec.Command(s.bin, append(args, s.opts.Args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	p, err := launch(cmd)
	if err != nil {
		return err
	}
	s.run = p
	if err := s.ready(p); err != nil {
		if !errors.Is(err, errExited) {
			s.end(syscall.SIGKILL)
		}
		s.run = nil
		return err
	}
	return nil
}

// ready waits until the member has a leader and answers a linearizable read.
func (s *Server) ready(p *process) error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	deadline := time.Now().Add(patience)
	var last error
	for time.Now().Before(deadline) {
		select {
		case <-p.exited:
			return fmt.Errorf("%w: %v", errExited, p.err)
		case <-time.After(5 * time.Millisecond):
		}
		resp, err := client.Get(s.Endpoint() + "/health")
		if err != nil {
			last = err
			continue
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK {
			return nil
		}
		last = errors.Join(err, fmt.Errorf("health: %s: %s", resp.Status, body))
	}
	return fmt.Errorf("not healthy after %v: %w", patience, last)
}

func (s *Server) logTail() []byte {
	b, err := os.ReadFile(s.logPath)
	if err != nil {
		return []byte(err.Error())
	}
	lines := bytes.SplitAfter(b, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-20):], nil)
}
