package semantics

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// knows is what a client knows of a partition.
type knows struct {
	code               int16
	high, stable, head int64
}

// Semantics lines 37, 38, 39: whatever happens to its topics, a client that takes over what incremental replies list
// knows of each of its partitions what a full fetch says at that moment, and gets the same records.
func TestLine38SessionsSayWhatFullFetchesSay(t *testing.T) {
	for _, version := range []int16{12, 17} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			w := &wanderer{rand: rand.New(rand.NewPCG(seed, 0)), version: version, c: dial(t, shared(t)), prefix: fmt.Sprint("twin", version, "-")}
			for range 3 {
				w.topics = append(w.topics, w.fresh())
			}
			for range 400 {
				w.step(t)
			}
		})
	}
}

// wanderer does things to topics and reads them in a session.
type wanderer struct {
	rand    *rand.Rand
	version int16
	c       *client
	prefix  string
	made    int
	topics  []topic

	session   *polls // nil = none
	positions map[topic]int64
	known     map[topic]knows
}

func (w *wanderer) fresh() topic {
	w.made++
	return create(w.c, fmt.Sprint(w.prefix, w.made), 1)
}

func (w *wanderer) step(t *testing.T) {
	i := w.rand.IntN(len(w.topics))
	of := w.topics[i]
	switch w.rand.IntN(10) {
	case 0, 1, 2:
		p := produce(w.c, of, plain("v"))
		require.Zero(t, p.ErrorCode)
	case 3:
		require.Zero(t, deleteRecords(w.c, of, 0, w.rand.Int64N(end(w.c, of)+1))[0])
	case 4:
		if w.rand.IntN(4) == 0 {
			remove(w.c, of.name)
			w.topics[i] = w.fresh()
		}
	default:
		w.poll(t)
	}
}

// poll continues the session, or opens another, and compares.
func (w *wanderer) poll(t *testing.T) {
	fresh := w.session == nil || w.rand.IntN(15) == 0
	var id, epoch int32
	if fresh {
		w.positions, w.known = map[topic]int64{}, map[topic]knows{}
		if w.session != nil {
			id = w.session.id
		}
	} else {
		id, epoch = w.session.id, w.session.epoch
	}
	req := inSession(id, epoch, 0)
	req.MaxBytes = 1 << 20
	for _, of := range w.topics {
		if w.rand.IntN(4) == 0 || fresh {
			w.positions[of] = w.rand.Int64N(end(w.c, of) + 2)
			seek(w.positions[of], of)(req)
		}
	}
	if !fresh && w.rand.IntN(8) == 0 && len(w.positions) > 1 {
		for of := range w.positions {
			delete(w.positions, of)
			delete(w.known, of)
			forgetting(req, of)
			break
		}
	}
	req.IsolationLevel = int8(w.rand.IntN(2))
	resp := ask[*kmsg.FetchResponse](w.c, w.version, req)
	require.Zero(t, resp.ErrorCode)
	require.Positive(t, resp.SessionID)
	w.session = &polls{id: resp.SessionID, epoch: epoch + 1}
	got := map[topic][]byte{}
	for _, in := range resp.Topics {
		p := in.Partitions[0]
		require.Len(t, in.Partitions, 1)
		of := w.named(t, in.Topic, in.TopicID)
		require.NotContains(t, got, of, "a partition comes twice")
		got[of], w.known[of] = p.RecordBatches, knows{p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset}
	}
	full := fetchRequest(0)
	full.IsolationLevel = req.IsolationLevel
	for of, offset := range w.positions {
		seek(offset, of)(full)
	}
	resp = ask[*kmsg.FetchResponse](w.c, w.version, full)
	for _, in := range resp.Topics {
		of, p := w.named(t, in.Topic, in.TopicID), in.Partitions[0]
		want := knows{p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset}
		if k := w.known[of]; k.code == 3 && want.code == 100 {
			want.code = 3 // a session still knows which topic the id was
		}
		require.Equal(t, want, w.known[of], "%s at %d", of.name, w.positions[of])
		require.True(t, bytes.Equal(p.RecordBatches, got[of]), "%d bytes of %s at %d, not %d", len(got[of]), of.name, w.positions[of], len(p.RecordBatches))
	}
}

func (w *wanderer) named(t *testing.T, name string, id [16]byte) topic {
	for of := range w.positions {
		if w.version >= 13 && of.id == id || w.version < 13 && of.name == name {
			return of
		}
	}
	require.Fail(t, "not in the session", "%s %x", name, id)
	return topic{}
}
