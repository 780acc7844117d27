package ingest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"wadi/agent/api"
	pb "wadi/metadata/metadatapb"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// However much comes, so many uploads run at a time; the rest waits in flushes of the right size.
func TestUploadsAreBounded(t *testing.T) {
	cfg := testConfig()
	cfg.InlineMaxBytes, cfg.FlushBytes = 0, 1000
	r := newRig(t, cfg)
	var uploads []*Flush
	r.onUpload = func(f *Flush) {
		if f.bytes > cfg.FlushBytes {
			t.Errorf("flush of %d bytes", f.bytes)
		}
		uploads = append(uploads, f)
	}
	r.onPropose = func(f *Flush) { r.flying[fmt.Sprint("commit ", f.N)] = f }
	r.c.Opened(0, 1)
	for i := range 500 {
		r.produce(fmt.Sprint(i), uint64(i%7), time.Minute, fmt.Sprintf("1/%d %d", i%13, 300+i%400))
	}
	if len(uploads) != maxUploads {
		t.Fatalf("%d uploads at a time", len(uploads))
	}
	for len(uploads) > 0 {
		f := uploads[0]
		uploads = uploads[1:]
		r.c.Uploaded(r.now, f, 1<<30, make([]uint64, f.sections()), false, nil)
		r.committed(fmt.Sprint(f.N), nil)
		if len(r.c.flushes) > maxUploads {
			t.Fatalf("%d flushes under way", len(r.c.flushes))
		}
		r.pass(time.Millisecond)
	}
	if !r.c.Idle() {
		t.Error("not idle")
	}
}

// Clients that send nothing but gaps do not fill the memory, and do not stop the others.
func TestHeldIsBounded(t *testing.T) {
	r := newRig(t, testConfig())
	r.c.Opened(0, 1)
	held := func(conn uint64, n int) *Request {
		q := &Request{Conn: conn, Deadline: time.Hour, Items: make([]Item, n)}
		for i := range q.Items {
			// The worst order: each goes before all others.
			q.Items[i] = Item{Partition: Partition{1, int32(conn)}, Data: header(61, 7, 0, int32(n+5-i), 1, 1)}
		}
		r.c.Produce(0, q)
		return q
	}
	for conn := range uint64(maxHeld / maxQueue) {
		q := held(conn, maxQueue+1)
		if err := q.Items[maxQueue].Result.Err; !errors.Is(err, ErrFull) {
			t.Fatalf("batch %d of a queue: %v", maxQueue, err)
		}
	}
	if r.c.held.count != maxHeld {
		t.Errorf("%d held", r.c.held.count)
	}
	r.produce("other", 1000, time.Hour, "1/0 100")
	if got := r.take(); got != "propose inline 1/0:other\n" {
		t.Errorf("another connection: %s", got)
	}
	held(1001, 1) // opens no queue: State will refuse it
	if r.c.held.count != maxHeld {
		t.Errorf("%d held", r.c.held.count)
	}
}

// The estimate by which a flush closes is never below what its command takes: entries must not pass their limit.
func TestEntryEstimate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := testConfig()
		cfg.InlineMaxBytes = 0
		r := newRig(t, cfg)
		estimate := 0
		var cmd *pb.Command
		r.onUpload = func(f *Flush) {
			f.offsets = make([]uint64, f.sections())
			for i := range f.offsets {
				f.offsets[i] = 1<<32 - 1
			}
			f.size = 1<<32 - 1
			cmd = f.command()
		}
		r.c.Opened(0, 1)
		q := &Request{Conn: 1, Deadline: time.Hour, Items: make([]Item, rapid.IntRange(1, 40).Draw(t, "batches"))}
		for i := range q.Items {
			q.Items[i] = Item{
				Partition: Partition{rapid.Uint64().Draw(t, "topic"), rapid.Int32Min(0).Draw(t, "partition")},
				Data: header(61, rapid.Int64Min(-1).Draw(t, "pid"), 32767, 0, rapid.Int32Min(1).Draw(t, "records"),
					rapid.Int64Range(-1, 1<<47).Draw(t, "time")),
			}
		}
		r.c.Produce(0, q)
		estimate = r.c.object.entryBytes()
		r.pass(time.Second)
		if size := proto.Size(cmd); size > estimate {
			t.Fatalf("%d bytes, estimated %d", size, estimate)
		}
	})
}

// Only acks=all has a timeout: with acks=0 its end would close the connection (Semantics line 8).
func TestTimeoutOf(t *testing.T) {
	for _, c := range []struct {
		acks int16
		in   time.Duration
		want time.Duration
	}{
		{-1, 0, 0}, {-1, time.Second, time.Second}, {-1, time.Hour, maxTimeout}, {-1, -1, 0},
		{0, 0, leastTimeout}, {1, time.Second, leastTimeout}, {1, time.Minute, time.Minute},
	} {
		if got := timeoutOf(&api.ProduceCall{Acks: c.acks, Timeout: c.in}); got != c.want {
			t.Errorf("acks %d, timeout %s: %s, not %s", c.acks, c.in, got, c.want)
		}
	}
}
