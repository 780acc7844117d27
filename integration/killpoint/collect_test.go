package killpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/binary"
	"wadi/integration/etcd"
	"wadi/internal/layout"
	"wadi/metadata/checkpoint"
	"wadi/metadata/fsck"
	"wadi/objstore"
	"wadi/objstore/open"
)

// begin starts an agent with a compactor, and everything that is written to it: topics to which all happens.
func (m *matrix) begin(t *testing.T) (l *load, table, short *side) {
	t.Helper()
	m.fired = map[string]int{}
	m.base.Port, m.base.Dir = uint16(binary.FreePort(t)), t.TempDir()
	first := m.start(t, m.base)
	l = startLoad(t, fmt.Sprintf("127.0.0.1:%d", m.base.Port), m.sizes)
	l.begun(t)
	table, short = l.sides(t)
	l.churn(t)
	first.Kill()
	return l, table, short
}

// settle ends the load, waits until nothing is left that nobody needs, reads everything back and checks it.
func (m *matrix) settle(t *testing.T, l *load, table, short *side) {
	t.Helper()
	m.base.Step, m.base.Flaky = "", 0
	last := m.start(t, m.base)
	l.stop(t)
	short.retained(t, l.client(t))
	for until := time.Now().Add(patience); ; time.Sleep(300 * time.Millisecond) {
		useless := m.useless(t)
		if t.Failed() || len(useless) == 0 {
			break
		}
		require.True(t, time.Now().Before(until), "what nothing needs stays: %v", useless)
	}
	l.verify(t)
	table.compacted(t, l.client(t))
	require.NoError(t, last.Stop(), last.Output())
	m.grace = 5 * time.Second
	left := m.fsck(t)
	t.Logf("leftovers: %v; %d records, %d topics came and went; kills: %s", left, l.mu.sent, l.mu.churned, m.kills())
}

// useless is what nothing needs. An archive without a run in it is needed while a kept root replays it: until the next base,
// which may never be due when nobody writes any more.
func (m *matrix) useless(t *testing.T) (list []fsck.Item) {
	t.Helper()
	m.fsck(t)
	replayed := m.replayed(t)
	for _, i := range m.left {
		switch i.Kind {
		case fsck.Garbage:
			if !replayed[i.Subject] {
				list = append(list, i)
			}
		case fsck.OrphanClosed, fsck.OrphanLive:
			list = append(list, i)
		}
	}
	return list
}

// replayed are the keys of the archives that kept roots replay.
func (m *matrix) replayed(t *testing.T) map[string]bool {
	t.Helper()
	metadata, err := openEtcd(t.Context(), m.base)
	require.NoError(t, err)
	defer func() { require.NoError(t, metadata.Close()) }()
	store, err := open.Open(t.Context(), m.base.storeURL(), open.Options{ReadOnly: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, objstore.Close(store)) }()
	pointer, err := checkpoint.ReadPointer(t.Context(), etcd.Patient(metadata), layout.NewEtcd(m.base.Cluster))
	require.NoError(t, err)
	keys := map[string]bool{}
	for _, k := range pointer.GetKept() {
		root, err := checkpoint.ReadRoot(t.Context(), store, k.Key)
		if errors.Is(err, objstore.ErrNotFound) {
			continue // it was dropped just now
		}
		require.NoError(t, err)
		for _, a := range root.Archives {
			keys[a.Object.Key] = true
		}
	}
	return keys
}

// The compactor is killed before or after each of its calls: nothing that lives is lost, and what nothing needs goes. The
// test command kills at every call on one side, which chance picks; -kills 2 and more on both.
func TestCompactor(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Cluster: "compactor", Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10, Compact: true},
		sizes: mixed,
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	l, table, short := m.begin(t)
	for range *kills {
		for _, i := range random.Perm(len(compactorSteps)) {
			sides := []bool{false, true}
			if *kills == 1 {
				sides = sides[random.IntN(2):][:1]
			}
			for _, after := range sides {
				p := m.base
				p.Step, p.After, p.Nth = compactorSteps[i], after, 1
				if p.Step.often() {
					p.Nth += random.IntN(4)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if p.Step == releaseOwned {
					c := l.client(t)
					go l.forgetOld(ctx, c)
				}
				m.kill(t, p)
				cancel()
			}
		}
	}
	m.settle(t, l, table, short)
}

// Calls of the compactor fail, or lose their answers, one after the other, and the process lives on.
func TestFlakyCompactor(t *testing.T) {
	t.Parallel()
	m := &matrix{
		base:  plan{Cluster: "flaky", Etcd: etcd.Start(t, etcd.Options{}).Endpoint(), Inline: 4 << 10, Compact: true},
		sizes: mixed,
	}
	l, table, short := m.begin(t)
	for _, every := range []int{3, 2} {
		m.base.Flaky = every
		agent := m.start(t, m.base)
		until := time.Now().Add(time.Duration(3**kills) * time.Second)
		require.Eventually(t, func() bool {
			for _, line := range strings.Split(agent.Output(), "\n") {
				if how, what, _ := strings.Cut(line, " "); how == "failed" || how == "lost" {
					m.fired[what+" "+how]++ // a line may be counted more than once: what counts is that it was there
				}
			}
			return m.fired["collect failed"] > 0 && m.fired["collect lost"] > 0 && time.Now().After(until)
		}, patience, 20*time.Millisecond, "no call that deletes objects failed, or none lost its answer")
		agent.Kill()
	}
	m.settle(t, l, table, short)
}
