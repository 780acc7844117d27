package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"wadi/internal/batch"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// header is a batch of which only the header means something: the core looks at nothing else.
func header(size int, pid int64, epoch int16, seq, records int32, maxTime int64) batch.Batch {
	b := make(batch.Batch, max(size, batch.HeaderSize))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	binary.BigEndian.PutUint32(b[23:], uint32(records-1))
	binary.BigEndian.PutUint64(b[35:], uint64(maxTime))
	binary.BigEndian.PutUint64(b[43:], uint64(pid))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(seq))
	binary.BigEndian.PutUint32(b[57:], uint32(records))
	return b
}

// plain is a batch without a producer id.
func plain(size int) batch.Batch { return header(size, -1, -1, -1, 1, 1000) }

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// rig steps a core by hand and writes down what it decides. It breaks the test when a request is answered or released
// twice, released before it was answered, or a flush is proposed out of order.
type rig struct {
	t      failer
	c      *Core
	now    time.Duration
	out    strings.Builder
	names  map[*Request]string
	ends   map[*Request][2]int // answers, releases
	flying map[string]*Flush   // uploads and proposals that wait for their outcome, by name
	next   map[producerKey]int32
	epochs map[int64]int16 // of producers that began one
	lastN  map[layout.Session]uint64
	bytes  map[*Flush]int // inline bytes that were proposed

	onUpload, onPropose func(*Flush) // in place of flying
}

func newRig(t failer, cfg Config) *rig {
	r := &rig{
		t: t, names: map[*Request]string{}, ends: map[*Request][2]int{}, flying: map[string]*Flush{},
		next: map[producerKey]int32{}, epochs: map[int64]int16{}, lastN: map[layout.Session]uint64{}, bytes: map[*Flush]int{},
	}
	r.c = NewCore(cfg, r, r)
	return r
}

func testConfig() Config {
	return Config{
		FlushBytes: 8 << 20, FlushInterval: 250 * time.Millisecond, PutsPerSecond: 8, InlineMaxBytes: 16 << 10,
		InlineBudget: 1 << 20, MaxOutstanding: 64 << 20, MaxBuffered: 64 << 20,
	}
}

func (r *rig) logf(format string, args ...any) { fmt.Fprintf(&r.out, format+"\n", args...) }

// take returns what was written since the last take.
func (r *rig) take() string {
	s := r.out.String()
	r.out.Reset()
	return s
}

func (r *rig) describe(f *Flush) string {
	var b strings.Builder
	for i, it := range f.items {
		if i == 0 || f.items[i-1].Partition != it.Partition {
			fmt.Fprintf(&b, " %d/%d:", it.Partition.Topic, it.Partition.Index)
		} else {
			b.WriteString(",")
		}
		b.WriteString(r.names[it.request])
		if it.pid >= 0 {
			fmt.Fprintf(&b, "(%d%s#%d)", it.pid, epochName(it.epoch), it.seq)
		}
	}
	return b.String()
}

func epochName(epoch int16) string {
	if epoch == 0 {
		return ""
	}
	return fmt.Sprintf(".%d", epoch)
}

func (r *rig) Upload(f *Flush) {
	if r.onUpload != nil {
		r.onUpload(f)
		return
	}
	r.logf("upload %d.%d%s", f.Session, f.N, r.describe(f))
	r.flying[fmt.Sprintf("upload %d.%d", f.Session, f.N)] = f
}

func (r *rig) Propose(f *Flush, cmd *pb.Command, inline [][]byte) {
	name := "inline"
	a := cmd.GetAppendBatches()
	if f.N != 0 {
		name = fmt.Sprintf("%d.%d", f.Session, f.N)
		if f.Session != r.c.session {
			r.t.Fatalf("flush %s proposed in session %d", name, r.c.session)
		}
		if f.N <= r.lastN[f.Session] {
			r.t.Fatalf("flush %s proposed after %d", name, r.lastN[f.Session])
		}
		r.lastN[f.Session] = f.N
	} else if len(inline) != len(a.Bytes) {
		r.t.Fatalf("%d chunks for %d batches", len(inline), len(a.Bytes))
	}
	for _, b := range inline {
		r.bytes[f] += len(b)
	}
	r.unmixed(f, a)
	if r.onPropose != nil {
		r.onPropose(f)
		return
	}
	r.logf("propose %s%s", name, r.describe(f))
	if len(a.Transactional) > 0 {
		r.logf("  batches of runs %v, transactional %v", a.Batches, a.Transactional)
	}
	r.flying["commit "+name] = f
}

// unmixed checks that each batch of a producer run belongs to transactions as the run says.
func (r *rig) unmixed(f *Flush, a *pb.AppendBatches) {
	if n := len(a.Transactional); n != 0 && n != len(a.Batches) {
		r.t.Fatalf("%d runs, %d of them marked", len(a.Batches), n)
	}
	i, marked := 0, false
	for run, n := range a.Batches {
		want := outside
		if len(a.Transactional) > 0 {
			want = membership(a.Transactional[run])
		}
		marked = marked || want != outside
		for ; n > 0; n-- {
			if it := f.items[i]; it.txn != want || want != outside && (it.pid < 0 || !it.Data.Transactional()) {
				r.t.Fatalf("batch %d of producer %d is in a run of kind %d", i, it.pid, want)
			}
			i++
		}
	}
	if marked != (len(a.Transactional) > 0) {
		r.t.Fatal("a column that says nothing")
	}
}

func (r *rig) Drop(f *Flush) { r.logf("drop %d.%d", f.Session, f.N) }

func (r *rig) Answer(q *Request) {
	e := r.ends[q]
	if e[0]++; e[0] > 1 {
		r.t.Fatalf("%s answered twice", r.names[q])
	}
	r.ends[q] = e
	var b strings.Builder
	for i := range q.Items {
		it := &q.Items[i]
		switch {
		case !it.done:
			r.t.Fatalf("%s answered with item %d open", r.names[q], i)
		case it.Result.Err != nil:
			fmt.Fprintf(&b, " %s", errorName(it.Result.Err))
		default:
			fmt.Fprintf(&b, " %s@%d", it.Result.Code, it.Result.Base)
		}
	}
	r.logf("answer %s:%s", r.names[q], b.String())
}

func (r *rig) Release(q *Request) {
	e := r.ends[q]
	if e[1]++; e[1] > 1 || e[0] == 0 {
		r.t.Fatalf("%s released: %d answers, %d releases", r.names[q], e[0], e[1])
	}
	r.ends[q] = e
	for i := range q.Items {
		clear(q.Items[i].Data) // whoever reads it still gets nonsense
	}
	r.logf("release %s", r.names[q])
}

// began tells that a producer goes on under an epoch, whose sequences start at 0.
func (r *rig) began(pid int64, epoch int16) {
	if epoch > r.epochs[pid] {
		for k := range r.next {
			if k.pid == pid {
				r.next[k] = 0
			}
		}
	}
	r.epochs[pid] = epoch
	r.c.Began(r.now, pid, epoch)
}

func (r *rig) Turn(p Partition, pid int64, epoch int16) Turn {
	seq, ok := r.next[producerKey{p, pid}]
	if epoch > r.epochs[pid] {
		seq = 0
	}
	return Turn{Asked: true, Next: seq, Known: ok, Fresh: true, Over: epoch < r.epochs[pid]}
}

func errorName(err error) string {
	for _, e := range []error{ErrNoSession, ErrUpload, ErrUnknown, ErrTimeout, ErrFull, ErrStalled, ErrEnded} {
		if errors.Is(err, e) {
			return strings.ReplaceAll(e.Error(), " ", "-")
		}
	}
	return err.Error()
}

// produce takes lines "<topic>/<partition> <bytes> [pid=.. seq=.. n=.. epoch=..] [txn|joins]": the batch is one of a
// transaction, of a request whose batches join it with "joins".
func (r *rig) produce(name string, conn uint64, timeout time.Duration, lines ...string) *Request {
	q := &Request{Conn: conn, Deadline: r.now + timeout}
	for _, line := range lines {
		f := strings.Fields(line)
		pid, seq, n, epoch := int64(-1), int64(-1), int64(1), int64(-1)
		txn := false
		for _, kv := range f[2:] {
			if kv == "txn" || kv == "joins" {
				txn, q.JoinsTxn = true, kv == "joins"
				continue
			}
			k, v, _ := strings.Cut(kv, "=")
			x, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				r.t.Fatal(err)
			}
			switch k {
			case "pid":
				pid, epoch = x, max(epoch, 0)
			case "seq":
				seq = x
			case "n":
				n = x
			case "epoch":
				epoch = x
			}
		}
		size, err := strconv.Atoi(f[1])
		if err != nil {
			r.t.Fatal(err)
		}
		data := header(size, pid, int16(epoch), int32(seq), int32(n), 1000)
		if txn {
			data[22] |= 0x10
		}
		q.Items = append(q.Items, Item{Partition: r.partition(f[0]), Data: data})
	}
	r.names[q] = name
	r.c.Produce(r.now, q)
	return q
}

func (r *rig) partition(s string) Partition {
	t, p, _ := strings.Cut(s, "/")
	topic, err1 := strconv.ParseUint(t, 10, 64)
	index, err2 := strconv.ParseInt(p, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		r.t.Fatal(err)
	}
	return Partition{topic, int32(index)}
}

func (r *rig) uploaded(name string, err error) {
	f := r.flying["upload "+name]
	if f == nil {
		r.t.Fatalf("no upload %s", name)
	}
	delete(r.flying, "upload "+name)
	offsets := make([]uint64, f.sections())
	r.c.Uploaded(r.now, f, 1<<30, offsets, false, err)
}

// committed tells that State took every batch, at offset 0, or that the proposal ended with err.
func (r *rig) committed(name string, err error) {
	f := r.flying["commit "+name]
	if f == nil {
		r.t.Fatalf("no proposal %s", name)
	}
	delete(r.flying, "commit "+name)
	verdicts := make([]Result, len(f.items))
	for _, it := range f.items {
		if err == nil && it.pid >= 0 {
			r.next[producerKey{it.Partition, it.pid}] = addSequence(it.seq, it.records)
		}
	}
	r.c.Committed(r.now, f, verdicts, err)
}

// pass lets time pass, with a tick whenever the core asks for one.
func (r *rig) pass(d time.Duration) {
	for end := r.now + d; ; {
		at, ok := r.c.NextWake()
		if !ok || at > end {
			r.now = end
			r.c.Tick(r.now)
			return
		}
		if at > r.now {
			r.now = at
		}
		r.c.Tick(r.now)
		if again, ok := r.c.NextWake(); ok && again <= r.now {
			r.t.Fatalf("a tick at %s asks for one at %s", r.now, again)
		}
	}
}
