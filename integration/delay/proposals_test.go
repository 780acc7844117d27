package delay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"wadi/integration/cluster"
	"wadi/integration/rawbatch"
)

// An agent that has read a request and lost etcd before it could propose it does nothing with it once etcd is back:
// another agent has coordinated the id since, and the next transaction runs. That holds for clients of TV1 too, as
// State knows who changed the transactional id after the request had arrived.
func (s suite) lateProposals(t *testing.T) {
	for tv := 1; tv <= 2; tv++ {
		t.Run(map[int]string{1: "TV1", 2: "TV2"}[tv], func(t *testing.T) {
			p := s.producer(t, tv)
			if tv == 1 {
				p.do(p.register(0, 1))
			}
			p.do(p.write(p.coordinator, 0, "first 0"), p.write(p.coordinator, 1, "first 1"))
			away := s.c.Agents[p.coordinator]
			end := p.end(true)
			away.ToEtcd.Cut()
			ctx, giveUp := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := p.once(ctx, end)
			giveUp()
			require.Error(t, err, "it was answered without etcd")

			was := p.coordinator
			for deadline := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
				require.True(t, time.Now().Before(deadline), "nobody took over")
				if p.coordinator = p.find(s.c); p.coordinator != was {
					break
				}
			}
			end.agent = p.coordinator
			p.do(end)
			if tv == 1 {
				p.do(p.register(0, 1))
			}
			p.do(p.write(p.coordinator, 0, "second 0"))
			away.ToEtcd.Heal()
			for deadline := time.Now().Add(2 * patience); ; time.Sleep(50 * time.Millisecond) {
				if ready, _ := away.Ready(); ready && s.takesPart(t, was) {
					break
				}
				require.True(t, time.Now().Before(deadline), "the agent does not come back")
			}
			p.coordinator = p.find(s.c)
			p.do(p.write(p.coordinator, 1, "second 1"), p.end(true))
			require.Equal(t, []string{"first 0", "second 0"}, p.visible(0))
			require.Equal(t, []string{"first 1", "second 1"}, p.visible(1))
		})
	}
}

// takesPart reports whether the agent is one of the cluster's again.
func (s suite) takesPart(t *testing.T, agent int) bool {
	t.Helper()
	m, err := cluster.NewRaw(t, s.c.Agents[(agent+1)%len(s.c.Agents)]).Metadata(within(t), "")
	if err != nil {
		return false
	}
	for _, b := range m.Brokers {
		if fmt.Sprintf("%s:%d", b.Host, b.Port) == s.c.Agents[agent].Address {
			return true
		}
	}
	return false
}

// lateUploads: an agent that has read a batch and cannot upload it has it appended when the store is back, whatever has
// become of its transaction. By then the epoch of a client of TV2 is another. One of TV1 that has given the write up and
// goes on under its epoch is exposed as to a request that is late on the network.
func (s suite) lateUploads(t *testing.T) {
	for tv := 1; tv <= 2; tv++ {
		t.Run(map[int]string{1: "TV1", 2: "TV2"}[tv], func(t *testing.T) {
			p := s.producer(t, tv)
			other := (p.coordinator + 1) % len(p.agents)
			begin := func() {
				if tv == 1 {
					p.do(p.register(0, 1))
				}
			}
			begin()
			p.do(p.write(p.coordinator, 0, "first 0"))
			large := "first 1" + strings.Repeat(".", 20<<10) // not inline
			away := s.c.Agents[other]
			away.ToStore.Cut()
			ctx, giveUp := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := p.once(ctx, p.write(other, 1, large))
			giveUp()
			require.Error(t, err, "it was answered without the store")
			p.do(p.end(false))
			begin()
			p.do(p.write(p.coordinator, 0, "second 0"))
			away.ToStore.Heal()
			s.flushed(t, p, other)
			p.do(p.write(p.coordinator, 1, "second 1"), p.end(true))
			require.Equal(t, []string{"second 0"}, p.visible(0))
			if tv == 1 {
				require.Equal(t, []string{large}, p.visible(1), "an aborted write is read in place of the one that was acknowledged")
			} else {
				require.Equal(t, []string{"second 1"}, p.visible(1))
			}
		})
	}
}

// flushed waits until an agent has proposed what it had read: commits keep the order in which flushes closed.
func (s suite) flushed(t *testing.T, p *producer, agent int) {
	t.Helper()
	raw := cluster.NewRaw(t, s.c.Agents[agent])
	topic, err := raw.Make(within(t), p.id+".flushed", 1)
	require.NoError(t, err)
	plain := rawbatch.Of(time.Now().UnixMilli(), nil, rawbatch.Values(strings.Repeat(".", 20<<10))...)
	_, err = raw.Produce(within(t), topic, 0, plain, patience)
	require.NoError(t, err)
}
