package cluster

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/integration/history/plain"
	"wadi/internal/busy"
)

// held is how long an agent waits for what must come before a batch that came early.
const held = time.Second

// spreadProducer: successive sequences of one producer go to different agents, several on their way at a time. The
// agents hold early ones back and State judges each, so that offsets follow the sequences. Where what must come first took
// longer than they wait, as on a busy machine, a batch is refused and sent again, as clients do.
func spreadProducer(t *testing.T, c *Cluster, raw []*Raw) {
	ctx := within(t, 3*patience)
	topic := newTopic(t, c, "spread", 1)
	pid, epoch, err := raw[1].ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	h := plain.New()
	const inFlight = 5
	var sequence int32
	var want int64
	for round := range 60 {
		var wg sync.WaitGroup
		for i := range inFlight {
			records := 1 + (round+i)%3
			values, sent := make([]string, records), make([]*plain.Send, records)
			for j := range values {
				values[j] = fmt.Sprintf("spread-%d-%d-%d", round, i, j)
				sent[j] = h.Attempt("spread", topic.Log(0), plain.Record{Value: []byte(values[j])})
			}
			b, base, r := oneBatch(t, pid, epoch, sequence, values...), want, raw[(round*inFlight+i)%3]
			sequence += int32(records)
			want += int64(records)
			// The last one starts first: what comes early must wait for what comes late.
			pause := time.Duration(inFlight-1-i) * time.Duration(round%4) * 2 * time.Millisecond
			wg.Go(func() {
				time.Sleep(pause)
				began := time.Now()
				offset, err := r.Produce(ctx, topic, 0, b, patience)
				for errors.Is(err, kerr.OutOfOrderSequenceNumber) && time.Since(began) >= held && ctx.Err() == nil {
					began = time.Now()
					offset, err = r.Produce(ctx, topic, 0, b, patience)
				}
				if err != nil || offset != base {
					t.Errorf("round %d, batch %d through %s: offset %d, want %d; %v", round, i, r.name, offset, base, err)
					return
				}
				for j := range sent {
					sent[j].Acked(offset + int64(j))
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	drain := h.Reader("drain")
	for next := int64(0); next < want; {
		fp, err := raw[2].Fetch(ctx, topic, 0, next, patience)
		if err != nil || fp.Err != nil || len(fp.Records) == 0 {
			t.Fatalf("fetch at %d of %d: %v, %v", next, want, err, fp.Err)
		}
		for _, r := range fp.Records {
			drain.Read(topic.Log(0), r.Offset, plain.Record{Key: r.Key, Value: r.Value})
			next = r.Offset + 1
		}
	}
	if err := h.Judge(drain).Err(); err != nil {
		t.Error(err)
	}
}

// retryElsewhere: Semantics lines 23, 24, 25, F19.
func retryElsewhere(t *testing.T, raw []*Raw) {
	ctx := within(t, patience)
	topic, err := raw[0].Create(ctx, "retries", 1)
	if err != nil {
		t.Fatal(err)
	}
	pid, epoch, err := raw[0].ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	produce := func(through int, sequence int32) (int64, error) {
		return raw[through].Produce(ctx, topic, 0, oneBatch(t, pid, epoch, sequence, fmt.Sprint("a", sequence), fmt.Sprint("b", sequence)),
			patience)
	}
	for i := range int32(8) {
		if offset, err := produce(int(i)%3, 2*i); err != nil || offset != int64(2*i) {
			t.Fatalf("batch %d: offset %d, %v", i, offset, err)
		}
		// The last five are known everywhere, with the offset they got.
		for back := max(0, i-4); back <= i; back++ {
			if offset, err := produce(int(i+back+1)%3, 2*back); err != nil || offset != int64(2*back) {
				t.Errorf("batch %d again after batch %d: offset %d, %v", back, i, offset, err)
			}
		}
	}
	// Two copies at once resolve to one append.
	var wg sync.WaitGroup
	for i := range raw {
		wg.Go(func() {
			if offset, err := produce(i, 16); err != nil || offset != 16 {
				t.Errorf("copy %d: offset %d, %v", i, offset, err)
			}
		})
	}
	wg.Wait()
	// Older than the last five, and beyond the next: refused, never a wrong offset.
	for _, sequence := range []int32{0, 20, 100} {
		began, waited := time.Now(), busy.Since()
		if offset, err := produce(1, sequence); !errors.Is(err, kerr.OutOfOrderSequenceNumber) || offset != -1 {
			t.Errorf("sequence %d: offset %d, %v", sequence, offset, err)
		}
		if took := time.Since(began); took > held+2*time.Second+waited() {
			t.Errorf("sequence %d was refused only after %v", sequence, took)
		}
	}
	for i, r := range raw {
		if end, err := r.Latest(ctx, topic, 0); err != nil || end != 18 {
			t.Errorf("agent %d: the log ends at %d, %v", i, end, err)
		}
	}
}
