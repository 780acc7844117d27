package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/integration/history/plain"
	"wadi/internal/busy"
)

// TestCuts cuts one agent off from etcd, then from the store, while the others go on.
func TestCuts(t *testing.T) {
	c := Start(t, Options{Links: true})
	topic := ledByAll(t, c, "load", 6)
	l := StartLoad(c, topic, LoadOptions{})
	for round := range rounds(1, 5) {
		for i, a := range c.Agents {
			if round == 0 && !*soak && i > 0 {
				break // agents are alike; each in turn is for the long run
			}
			cutFromEtcd(t, c, l, a)
			cutFromStore(t, c, l, a)
		}
		severed(t, c, l, c.Agents[(round+1)%3])
		etcdPaused(t, c, l)
	}
	t.Log(l.Finish())
}

// writer is an idempotent producer of one partition that sends again what an agent does not take yet, whose session a busy
// machine has ended.
type writer struct {
	t        *testing.T
	raw      *Raw
	topic    Topic
	h        *plain.History
	pid      int64
	epoch    int16
	sequence int32
}

func newWriter(t *testing.T, raw *Raw, topic Topic, h *plain.History) *writer {
	t.Helper()
	w := &writer{t: t, raw: raw, topic: topic, h: h}
	var err error
	for ctx := within(t, patience); ; {
		if w.pid, w.epoch, err = raw.ProducerID(ctx); err == nil {
			return w
		}
		if !passes(ctx, err) {
			t.Fatalf("no producer id: %v", err)
		}
	}
}

// store returns where the value lies.
func (w *writer) store(ctx context.Context, value string) int64 {
	w.t.Helper()
	sent := w.h.Attempt("writer", w.topic.Log(0), plain.Record{Value: []byte(value)})
	b := oneBatch(w.t, w.pid, w.epoch, w.sequence, value)
	w.sequence++
	for {
		offset, err := w.raw.Produce(ctx, w.topic, 0, b, patience)
		if err == nil {
			sent.Acked(offset)
			return offset
		}
		if !passes(ctx, err) {
			w.t.Fatalf("%s: %v", value, err)
		}
	}
}

// cutFromEtcd: F6. The agent goes on with reads below its watermark, acknowledges nothing, and recovers by itself.
func cutFromEtcd(t *testing.T, c *Cluster, l *Load, a *Agent) {
	topic, raw, h := newTopic(t, c, "cut-from-etcd-"+a.Name, 1), NewRaw(t, a), plain.New()
	ctx := within(t, 3*patience)
	writer := newWriter(t, raw, topic, h)
	for i := range int64(3) {
		if offset := writer.store(ctx, fmt.Sprint("before", i)); offset != i {
			t.Fatalf("offset %d", offset)
		}
	}
	// The clients of an agent that is cut off go to the others as soon as its session may be over.
	survive(t, l, "cut "+a.Name+" off from etcd", 2*c.TTL+time.Second, func() {
		a.ToEtcd.Cut()
		cut := time.Now()
		for n := 0; time.Since(cut) < 3*c.TTL; n++ {
			value := fmt.Sprint("during", n)
			sent := h.Attempt("during", topic.Log(0), plain.Record{Value: []byte(value)})
			offset, err := raw.Produce(ctx, topic, 0, oneBatch(t, -1, -1, -1, value), 300*time.Millisecond)
			switch {
			case err == nil:
				t.Errorf("acknowledged at offset %d while cut off", offset)
				sent.Acked(offset)
			case errors.Is(err, kerr.NotLeaderForPartition):
				sent.Refused()
			case errors.Is(err, kerr.RequestTimedOut), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
				sent.Unknown()
			default:
				t.Errorf("produce while cut off: %v", err)
				sent.Unknown()
			}
			if err != nil && offset != -1 {
				t.Errorf("offset %d with %v (semantics line 22)", offset, err)
			}
			fp, err := raw.Fetch(ctx, topic, 0, 1, 0)
			if err != nil || fp.Err != nil || len(fp.Records) != 2 {
				t.Errorf("read below the watermark while cut off for %v: %d records, %v, %v", time.Since(cut), len(fp.Records), fp.Err, err)
			}
			time.Sleep(200 * time.Millisecond)
		}
		if ready, text := a.Ready(); !ready || !strings.Contains(text, "metadata-unreachable") {
			t.Errorf("cut off, ready is %v: %q", ready, text)
		}
		// At the watermark there is nothing, and nobody can tell: an error, not an empty answer for ever (L2).
		if fp, err := raw.Fetch(ctx, topic, 0, 3, 0); err != nil || !errors.Is(fp.Err, kerr.NotLeaderForPartition) {
			t.Errorf("fetch at the watermark while cut off: %v, %v", fp.Err, err)
		}
		if end, err := raw.Latest(ctx, topic, 0); !errors.Is(err, kerr.OffsetNotAvailable) {
			t.Errorf("end while cut off: %d, %v", end, err)
		}
		a.ToEtcd.Heal()
	})
	recovers(t, l, h, topic, raw, a)
	// Whatever was refused never comes.
	drain := h.Reader("drain")
	readAll(t, c, topic, drain)
	if err := h.Judge(drain).Err(); err != nil {
		t.Error(err)
	}
}

// recovers: Bufstream's second bug. The agent takes writes again soon after the fault, without a restart.
func recovers(t *testing.T, l *Load, h *plain.History, topic Topic, raw *Raw, a *Agent) {
	t.Helper()
	ctx := within(t, 3*patience)
	began, waited := time.Now(), busy.Since()
	for n := 0; ; n++ {
		value := fmt.Sprint("after", began.UnixNano(), n)
		sent := h.Attempt("after", topic.Log(0), plain.Record{Value: []byte(value)})
		offset, err := raw.Produce(ctx, topic, 0, oneBatch(t, -1, -1, -1, value), time.Second)
		if err == nil {
			sent.Acked(offset)
			break
		}
		sent.Unknown()
		if time.Since(began) > stuck+waited() {
			t.Errorf("%s takes no writes %v after the fault: %v", a.Name, time.Since(began), err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	if _, _, err := raw.ProducerID(ctx); err != nil {
		t.Errorf("no producer id after the fault: %v", err)
	}
	t.Logf("%s took writes again after %v", a.Name, time.Since(began).Round(time.Millisecond))
}

// readAll reads partition 0 through the last agent.
func readAll(t *testing.T, c *Cluster, topic Topic, into *plain.Reader) {
	t.Helper()
	ctx := within(t, patience)
	raw := NewRaw(t, c.Agents[len(c.Agents)-1])
	end, err := raw.Latest(ctx, topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	for next := int64(0); next < end; {
		fp, err := raw.Fetch(ctx, topic, 0, next, patience)
		if err != nil || fp.Err != nil || len(fp.Records) == 0 {
			t.Fatalf("fetch at %d of %d: %v, %v", next, end, err, fp.Err)
		}
		for _, r := range fp.Records {
			into.Read(topic.Log(0), r.Offset, plain.Record{Key: r.Key, Value: r.Value})
			next = r.Offset + 1
		}
	}
}

// cutFromStore: F7. What needs an object fails retriably or times out, what fits into a journal entry goes on.
func cutFromStore(t *testing.T, c *Cluster, l *Load, a *Agent) {
	small, large := newTopic(t, c, "small-"+a.Name, 1), newTopic(t, c, "large-"+a.Name, 1)
	raw, h, ctx := NewRaw(t, a), plain.New(), within(t, 3*patience)
	filler, inline := strings.Repeat(".", 40<<10), newWriter(t, raw, small, h)
	survive(t, l, "cut "+a.Name+" off from the store", stuck, func() {
		a.ToStore.Cut()
		for n := range 5 {
			if offset := inline.store(ctx, fmt.Sprint("inline", n)); offset != int64(n) {
				t.Errorf("inline produce while cut off from the store: offset %d", offset)
			}
			value := fmt.Sprint("object", n, filler)
			sent := h.Attempt("large", large.Log(0), plain.Record{Value: []byte(value)})
			offset, err := raw.Produce(ctx, large, 0, oneBatch(t, -1, -1, -1, value), 500*time.Millisecond)
			sent.Unknown()
			if !errors.Is(err, kerr.RequestTimedOut) && !errors.Is(err, kerr.NotLeaderForPartition) || offset != -1 {
				t.Errorf("object produce while cut off from the store: offset %d, %v", offset, err)
			}
		}
		a.ToStore.Heal()
	})
	recovers(t, l, h, large, raw, a)
	drain := h.Reader("drain")
	readAll(t, c, small, drain)
	readAll(t, c, large, drain)
	if err := h.Judge(drain).Err(); err != nil {
		t.Error(err)
	}
}

// etcdPaused: F5. Nobody acknowledges without etcd, and everybody goes on with it.
func etcdPaused(t *testing.T, c *Cluster, l *Load) {
	survive(t, l, "freeze etcd past the sessions' time to live", stuck, func() {
		c.Etcd.Pause()
		time.Sleep(2 * c.TTL)
		c.Etcd.Resume()
	})
	survive(t, l, "kill etcd", stuck, func() {
		c.Etcd.Kill()
		time.Sleep(time.Second)
		c.Etcd.Restart()
	})
}

// severed: what was connected is dead and nobody says so, as after a firewall's restart.
func severed(t *testing.T, c *Cluster, l *Load, a *Agent) {
	topic, raw, h := newTopic(t, c, "severed-"+a.Name, 1), NewRaw(t, a), plain.New()
	survive(t, l, "sever "+a.Name+" from etcd", stuck, func() { a.ToEtcd.Sever() })
	recovers(t, l, h, topic, raw, a)
	survive(t, l, "sever "+a.Name+" from the store", stuck, func() {
		for range 2 { // the second time none of its connections is new
			a.ToStore.Sever()
			overObjects(t, c, topic, a)
		}
	})
}

// overObjects sends a record through the agent and another one through another agent, both too large for the journal,
// and reads the second through the first.
func overObjects(t *testing.T, c *Cluster, topic Topic, a *Agent) {
	t.Helper()
	ctx, raw, other := within(t, 3*patience), NewRaw(t, a), NewRaw(t, c.Agents[0])
	if c.Agents[0] == a {
		other = NewRaw(t, c.Agents[1])
	}
	filler := strings.Repeat(".", 40<<10)
	began, waited := time.Now(), busy.Since()
	_, err := raw.Produce(ctx, topic, 0, oneBatch(t, -1, -1, -1, filler), patience)
	wrote := time.Since(began)
	if err != nil || wrote > stuck+waited() {
		t.Errorf("produce through %s: %v after %v", a.Name, err, wrote)
	}
	offset, err := other.Produce(ctx, topic, 0, oneBatch(t, -1, -1, -1, filler), patience)
	if err != nil {
		t.Fatal(err)
	}
	began, waited = time.Now(), busy.Since()
	for {
		fp, err := raw.Fetch(ctx, topic, 0, offset, stuck)
		if err != nil {
			t.Fatal(err)
		}
		if len(fp.Records) == 1 {
			break
		}
		if time.Since(began) > stuck+waited() {
			t.Fatalf("read through %s: %v", a.Name, fp.Err)
		}
	}
	t.Logf("through %s an object was written in %v and another's read in %v", a.Name, wrote.Round(time.Millisecond),
		time.Since(began).Round(time.Millisecond))
}
