package dev

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	process "wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/internal/busy"
)

// What is acknowledged survives SIGKILL, again and again, in the journal as well as in objects.
func TestSurvivesKill(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "data"), process.FreePort(t)
	var want []string
	for round := range 3 {
		s := start(t, dir, port)
		c := client(t, s.address)
		for i := range 20 {
			value := fmt.Sprintf("%d-%d", round, i)
			if i%4 == 0 {
				value += strings.Repeat("x", 20_000) // beyond the inline limit
			}
			require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Value: []byte(value)}).FirstErr())
			want = append(want, value)
		}
		s.Kill()
	}
	s := start(t, dir, port)
	require.Equal(t, want, readAll(t, s.address))
	require.NoError(t, s.Stop())
	code, out, errs := runToEnd(t, nil, "fsck", "--data-dir", dir)
	require.Zero(t, code, out+errs)
}

// A killed process does not stand beside its successor: clients are sent to agents that live, from the start.
func TestKilledIsForgotten(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "data"), process.FreePort(t)
	s := start(t, dir, port)
	require.NoError(t, client(t, s.address).ProduceSync(t.Context(), &kgo.Record{Value: []byte("v")}).FirstErr())
	s.Kill()
	s = start(t, dir, port)
	m, err := kmsg.NewPtrMetadataRequest().RequestWith(t.Context(), client(t, s.address))
	require.NoError(t, err)
	require.Len(t, m.Brokers, 1)
	require.Equal(t, []string{"v"}, readAll(t, s.address))
}

// slow is a configuration under which small flushes wait for 10 s: what is accepted sits in memory when a signal comes.
var slow = []string{"WADI_INLINE_MAX_BYTES=0", "WADI_FLUSH_INTERVAL=10s", "WADI_FLUSH_PUTS_PER_SECOND=1"}

// Regression R6: SIGTERM flushes and answers what was accepted, also what needs no answer (acks=0).
func TestSignalFlushes(t *testing.T) {
	for _, acks := range []struct {
		name string
		opts []kgo.Opt
	}{
		{"acks=all", nil},
		{"acks=1", []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}},
		{"acks=0", []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
	} {
		t.Run(acks.name, func(t *testing.T) {
			dir, port := filepath.Join(t.TempDir(), "data"), process.FreePort(t)
			s := start(t, dir, port, slow...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			// The first records make the topic and use up the flushes that need not wait.
			warm := client(t, s.address)
			for range 3 {
				require.NoError(t, warm.ProduceSync(ctx, &kgo.Record{Value: []byte("warm")}).FirstErr())
			}
			sent := make(wrote, 1)
			c := client(t, s.address, append(acks.opts, kgo.ManualFlushing(), kgo.WithHooks(sent))...)
			var answers sync.WaitGroup
			var mu sync.Mutex
			var failed []error
			const n = 50
			answers.Add(n)
			for i := range n {
				c.Produce(ctx, &kgo.Record{Value: fmt.Appendf(nil, "r%d", i)}, func(_ *kgo.Record, err error) {
					defer answers.Done()
					if err != nil {
						mu.Lock()
						failed = append(failed, err)
						mu.Unlock()
					}
				})
			}
			answers.Go(func() { _ = c.Flush(ctx) }) // all in one request; the records tell how it went
			select {
			case <-sent:
			case <-ctx.Done():
				t.Fatal("nothing was sent")
			}
			time.Sleep(time.Second) // it is read; no flush is due for many seconds
			nodes(t, s.address)     // unless the process stood still: it does not any more
			begin, waited := time.Now(), busy.Since()
			require.NoError(t, s.Stop(), s.Output())
			took := time.Since(begin)
			require.Less(t, took, 8*time.Second+waited(), "the drain flushes at once")
			answers.Wait()
			require.Empty(t, failed)
			values := readAll(t, start(t, dir, port).address)
			require.Len(t, values, 3+n)
			for i := range n {
				require.Equal(t, fmt.Sprintf("r%d", i), values[3+i])
			}
		})
	}
}

// wrote hears of the first Produce request that a client has written to its connection.
type wrote chan struct{}

func (w wrote) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if kmsg.Key(key) == kmsg.Produce && err == nil {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// Regression R16: SIGTERM waits for no client to leave.
func TestSignalDoesNotWaitForClients(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), process.FreePort(t))
	require.NoError(t, client(t, s.address).ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr())
	// A consumer in a long poll, one that says nothing, one that stopped in the middle of a frame.
	poll := client(t, s.address, kgo.ConsumeTopics("t"), kgo.FetchMaxWait(5*time.Minute), kgo.FetchMinBytes(1<<20))
	go poll.PollFetches(t.Context())
	dial(t, s.address)
	_, err := dial(t, s.address).Write([]byte{0, 0, 1, 0, 0, 18})
	require.NoError(t, err)
	time.Sleep(100 * time.Millisecond) // the poll is under way
	begin, waited := time.Now(), busy.Since()
	require.NoError(t, s.Signal(syscall.SIGTERM))
	require.NoError(t, s.Wait(patience), s.Output())
	took := time.Since(begin)
	require.Less(t, took, 5*time.Second+waited())
}

// A client that is owed answers and takes none gets the time for a drain, 10 s, and no more.
func TestSignalAndADeafClient(t *testing.T) {
	s := start(t, filepath.Join(t.TempDir(), "data"), process.FreePort(t))
	deafClient(t, s.address)
	begin, waited := time.Now(), busy.Since()
	require.NoError(t, s.Signal(syscall.SIGTERM))
	require.NoError(t, s.Wait(patience), s.Output())
	took := time.Since(begin)
	require.Less(t, took, 20*time.Second+waited())
}

// Who does not want to wait for that signals again.
func TestSecondSignalKills(t *testing.T) {
	const drain = 10 * time.Second
	for try := 1; ; try++ {
		operations := fmt.Sprintf("127.0.0.1:%d", process.FreePort(t))
		s := startWatched(t, filepath.Join(t.TempDir(), "data"), process.FreePort(t), operations)
		deafClient(t, s.address)
		signalled := time.Now()
		require.NoError(t, s.Signal(syscall.SIGTERM))
		require.Eventually(t, func() bool { // or the second one would be the first
			select {
			case <-s.Done():
				return true
			default:
			}
			answer, err := http.Get("http://" + operations + "/readyz")
			if err != nil {
				return false
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			return err == nil && strings.Contains(string(body), "draining")
		}, patience, 10*time.Millisecond)
		running := s.Wait(500 * time.Millisecond)
		again := s.Signal(syscall.SIGTERM)
		ended := s.Wait(patience)
		if time.Since(signalled) >= drain && try < 5 {
			continue // something stood still, and the drain was over by itself
		}
		require.ErrorContains(t, running, "still running")
		require.NoError(t, again)
		require.ErrorContains(t, ended, "signal: terminated")
		return
	}
}

// deafClient asks until the answers that it does not read fill the way back.
func deafClient(t *testing.T, address string) {
	t.Helper()
	c := dial(t, address)
	frame := binary.BigEndian.AppendUint32(nil, 10)
	frame = append(frame, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff) // ApiVersions 0, no client id
	// Who takes nothing for so long waits for answers to be taken, or stands still itself; not so if it answers others.
	for rest, waits := frame, 0; waits < 2; {
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second/2)))
		n, err := c.Write(rest)
		if rest = rest[n:]; len(rest) == 0 {
			rest = frame
		}
		switch {
		case err == nil:
			waits = 0
		case n > 0:
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			waits = 0
		default:
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			waits++
			nodes(t, address)
		}
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// An etcd that does not answer holds an agent up that has nothing to flush no longer than a session lives, twice: for the
// mark that it drains, and for giving the session up.
func TestSignalWithoutEtcd(t *testing.T) {
	metadata := etcd.Start(t, etcd.Options{})
	address := fmt.Sprintf("127.0.0.1:%d", process.FreePort(t))
	p := process.Start(t, process.Spec{
		Name: "wadi agent", Path: process.Path(t), Dir: t.TempDir(), Ready: "ready",
		Args: []string{
			"agent", "--etcd.endpoints", metadata.Endpoint(), "--store", "file://" + t.TempDir(), "--session.ttl", "2s",
			"--listeners", "PLAINTEXT://" + address, "--http", "",
		},
	})
	require.NoError(t, client(t, address).ProduceSync(t.Context(), &kgo.Record{Value: []byte("x")}).FirstErr())
	metadata.Pause()
	begin, waited := time.Now(), busy.Since()
	require.NoError(t, p.Signal(syscall.SIGTERM))
	_ = p.Wait(patience) // whether it calls that a complete drain is another matter
	took := time.Since(begin)
	require.Less(t, took, 12*time.Second+waited(), p.Output())
}
