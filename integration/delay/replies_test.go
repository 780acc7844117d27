package delay_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A reply that is lost: the request was carried out, and its repetition is answered as it was the first time, whichever
// agent it reaches.
func (s suite) lostReplies(t *testing.T) {
	for tv := 1; tv <= 2; tv++ {
		t.Run(map[int]string{1: "TV1", 2: "TV2"}[tv], func(t *testing.T) {
			four(t, func(t *testing.T, first, second bool) {
				p := s.producer(t, tv)
				s.lost(p, "first", 10, first)
				s.lost(p, "second", 20, second)
				p.holds(first, second)
			})
		})
	}
}

// lost runs a transaction of which no request is answered the first time.
func (s suite) lost(p *producer, name string, position int64, commit bool) {
	p.t.Helper()
	step := func(x sent) {
		p.t.Helper()
		answer, err := p.unheard(x).Release(within(p.t))
		require.NoError(p.t, err)
		require.Zero(p.t, codeOf(answer))
		again := x
		if produce, ok := answer.(*kmsg.ProduceResponse); ok {
			again.agent = (x.agent + 1) % len(p.agents)
			again.done = func(r kmsg.Response) {
				x.done(r)
				was, is := produce.Topics[0].Partitions[0].BaseOffset, r.(*kmsg.ProduceResponse).Topics[0].Partitions[0].BaseOffset
				require.Equal(p.t, was, is, "a duplicate has the offset of the first")
			}
		}
		if end, ok := answer.(*kmsg.EndTxnResponse); ok && p.tv == 2 {
			again.done = func(r kmsg.Response) {
				x.done(r)
				require.Equal(p.t, []int64{end.ProducerID, int64(end.ProducerEpoch)}, []int64{p.pid, int64(p.epoch)})
			}
		}
		p.do(again)
	}
	if p.tv == 1 {
		step(p.register(0, 1))
	}
	step(p.write(p.coordinator, 0, name+" 0"))
	step(p.write((p.coordinator+1)%len(p.agents), 1, name+" 1"))
	if p.tv == 1 {
		step(p.addGroup())
	}
	step(p.position(position))
	step(p.end(commit))
}
