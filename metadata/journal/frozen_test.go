package journal_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

var freeze = flag.Bool("freeze", false, "write testdata/journal-v1, which must not exist")

const frozenDir = "testdata/journal-v1"

// journal-v1 holds entries as etcd stored them (position, session, sequence, value; "void" for one passed over) and the
// digest that they lead to. Both are frozen: every later program must come to the same digest (DESIGN section 4). It
// uses every command and meets every verdict.
func TestFrozenJournal(t *testing.T) {
	if *freeze {
		writeFrozen(t)
	}
	raw, err := os.ReadFile(filepath.Join(frozenDir, "entries"))
	if err != nil {
		t.Fatal(err)
	}
	s := state.New()
	codes, kinds, events := map[state.Code]int{}, map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 4 {
			t.Fatalf("%q", lines.Text())
		}
		var position int64
		var seq uint64
		if _, err := fmt.Sscan(f[0]+" "+f[2], &position, &seq); err != nil {
			t.Fatal(err)
		}
		if f[3] == "void" {
			s.Void(position)
			events["void"]++
			continue
		}
		session, err := layout.ParseSession(f[1])
		if err != nil {
			t.Fatal(err)
		}
		value, err := hex.DecodeString(f[3])
		if err != nil {
			t.Fatal(err)
		}
		e, err := state.Decode(position, session, seq, value)
		if err != nil {
			t.Fatal(err)
		}
		res := s.Apply(e)
		switch {
		case res.Repeat:
			events["repeat"]++
		case res.Refused != state.OK:
			events["refused"]++
		}
		for i, r := range res.Commands {
			kinds[fmt.Sprintf("%T", e.Body.Commands[i].Kind)]++
			codes[r.Code]++
			for _, b := range r.Batches {
				codes[b.Code]++
			}
		}
		if err := s.Check(); err != nil {
			t.Fatalf("position %d: %v", position, err)
		}
	}
	want, err := os.ReadFile(filepath.Join(frozenDir, "digest"))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Digest().String(); got != strings.TrimSpace(string(want)) {
		t.Errorf("digest %s, frozen %s", got, want)
	}
	// A journal that meets less would prove less.
	for c := state.OK; c <= state.Stale; c++ {
		if codes[c] == 0 {
			t.Errorf("no command ends with %q", c)
		}
	}
	for _, e := range []string{"void", "repeat", "refused"} {
		if events[e] == 0 {
			t.Errorf("no entry is %s", e)
		}
	}
	all := (&pb.Command{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	const feature1 = 10 // kinds of commands of feature level 1
	if len(kinds) < feature1 || all.Len() < feature1 {
		t.Errorf("%d of %d kinds of commands: %v", len(kinds), all.Len(), kinds)
	}
}

// frozen builds entries; State tells what positions and numbers they refer to.
type frozen struct {
	t        *testing.T
	out      bytes.Buffer
	s        *state.State
	position int64
	seqs     map[layout.Session]uint64
}

func (f *frozen) entry(session layout.Session, seq uint64, inline int, cmds ...*pb.Command) {
	f.t.Helper()
	f.position += 7
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.Entry{
		AtMs: 1_700_000_000_000 + 100*f.position, Commands: cmds, Inline: bytes.Repeat([]byte{0x5a}, inline),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	e, err := state.Decode(f.position, session, seq, value)
	if err != nil {
		f.t.Fatal(err)
	}
	f.s.Apply(e)
	fmt.Fprintf(&f.out, "%d %s %d %x\n", f.position, session, seq, value)
}

func (f *frozen) next(session layout.Session, inline int, cmds ...*pb.Command) {
	f.t.Helper()
	f.seqs[session]++
	f.entry(session, f.seqs[session], inline, cmds...)
}

func appendOne(flush, topic uint64, partition uint32, pid int64, epoch, seq int32, records uint32, offset uint64) *pb.Command {
	a := &pb.AppendBatches{
		Flush: flush, Topics: []uint64{topic}, Partitions: []uint32{partition}, Offsets: []uint64{offset}, Runs: []uint32{1},
		ProducerIds: []int64{pid}, ProducerEpochs: []int32{epoch}, Sequences: []int32{seq}, Batches: []uint32{1},
		Records: []uint32{records}, Bytes: []uint32{64 + records}, MaxTimestamps: []int64{int64(seq)},
	}
	if flush > 0 {
		a.Size = offset + uint64(64+records)
	}
	return &pb.Command{Kind: &pb.Command_AppendBatches{AppendBatches: a}}
}

func writeFrozen(t *testing.T) {
	if _, err := os.Stat(frozenDir); err == nil {
		t.Fatalf("%s is frozen", frozenDir)
	}
	const a, b, c layout.Session = 0x694d000000000001, 0x694d000000000002, 0x694d000000000003
	f := &frozen{t: t, s: state.New(), position: 3, seqs: map[layout.Session]uint64{}}
	open := func(min, max uint32) *pb.Command {
		return &pb.Command{Kind: &pb.Command_OpenSession{OpenSession: &pb.OpenSession{MinFeatureLevel: min, MaxFeatureLevel: max}}}
	}
	init := func(id string, level uint32) *pb.Command {
		return &pb.Command{Kind: &pb.Command_InitCluster{InitCluster: &pb.InitCluster{ClusterId: id, Incarnation: 1, FeatureLevel: level}}}
	}
	create := func(name string, partitions uint32, base int64) *pb.Command {
		return &pb.Command{Base: base, Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{
			Name: name, Partitions: partitions, Configs: []*pb.Config{{Name: "cleanup.policy", Value: "delete"}},
		}}}
	}
	remove := func(topic uint64, base int64) *pb.Command {
		return &pb.Command{Base: base, Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: topic}}}
	}
	producer := func() *pb.Command {
		return &pb.Command{Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{}}}
	}
	mark := func() *pb.Command { return &pb.Command{Kind: &pb.Command_Mark{Mark: &pb.Mark{}}} }
	archived := func(from, to int64) *pb.Command {
		return &pb.Command{Kind: &pb.Command_Archived{Archived: &pb.Archived{From: from, To: to, Session: int64(a), Head: to / 7, Size: 9000}}}
	}
	sweep := func(n uint32) *pb.Command { return &pb.Command{Kind: &pb.Command_Sweep{Sweep: &pb.Sweep{Limit: n}}} }
	closeOf := func(s layout.Session) *pb.Command {
		return &pb.Command{Kind: &pb.Command_CloseSession{CloseSession: &pb.CloseSession{Session: int64(s)}}}
	}

	f.entry(a, 1, 0, open(1, 1))               // not initialized
	f.entry(a, 1, 0, init("c", 9), open(1, 1)) // a feature level that nobody has
	f.next(a, 0, init("cluster-one", 1), open(1, 1))
	f.next(b, 0, init("cluster-two", 1), open(1, 3)) // Stale
	f.entry(0x77, 1, 0, open(5, 9))                  // outside the cluster's level
	f.entry(0x78, 1, 0, producer())                  // not opened
	f.next(a, 0, create("orders", 4, f.position), create("orders", 1, f.position), create("or.ders", 2, f.position),
		create("or_ders", 1, f.position), create("bad name", 1, f.position), create("huge", 4_000_000_000, f.position))
	f.next(b, 0, producer(), producer())
	// Inline: idempotent and plain, in and out of order.
	f.next(a, 400, appendOne(0, 1, 0, -1, -1, -1, 3, 0), appendOne(0, 1, 0, 1, 0, 0, 5, 67), appendOne(0, 1, 1, 2, 0, 0, 1, 136))
	f.next(a, 400, appendOne(0, 1, 0, 1, 0, 5, 5, 0), appendOne(0, 1, 0, 1, 0, 0, 5, 0), appendOne(0, 1, 0, 1, 0, 20, 5, 0))
	f.next(b, 400, appendOne(0, 1, 0, 1, 1, 0, 2, 0), appendOne(0, 1, 0, 1, 0, 10, 2, 100), appendOne(0, 99, 0, -1, -1, -1, 2, 0),
		appendOne(0, 1, 17, -1, -1, -1, 2, 0), appendOne(0, 1, 0, -1, -1, -1, 2, 5000))
	// Objects.
	f.next(a, 0, appendOne(1, 1, 2, -1, -1, -1, 10, 32))
	f.next(a, 0, appendOne(1, 1, 2, -1, -1, -1, 10, 32), appendOne(3, 1, 3, 2, 0, 0, 10, 32))
	hedged := appendOne(4, 2, 0, -1, -1, -1, 7, 32)
	hedged.GetAppendBatches().Hedge = true
	f.next(a, 0, hedged)
	f.entry(a, f.seqs[a], 0, producer()) // a repeat
	f.next(a, 0, mark())
	first := f.position
	f.next(b, 200, appendOne(0, 1, 1, 2, 0, 1, 4, 0))
	f.next(a, 0, mark())
	second := f.position
	f.next(a, 0, archived(0, first-1), archived(0, first), archived(0, first))
	f.next(a, 100, archived(first, second), appendOne(0, 2, 1, -1, -1, -1, 2, 0))
	// Changed by another session after the command's base.
	before := f.position
	f.next(a, 0, create("contested", 2, f.position))
	f.next(b, 0, remove(f.number("contested"), before), remove(f.number("contested"), f.position))
	f.next(b, 0, remove(1, f.position), remove(1, f.position))
	f.next(a, 0, sweep(2), sweep(0), sweep(5000))
	f.next(a, 0, sweep(1000))
	f.next(b, 0, create("orders", 2, f.position), producer())
	// Sessions.
	f.next(c, 0, open(1, 1))
	f.next(b, 0, closeOf(c), closeOf(c), closeOf(0x1234))
	f.next(c, 0, producer())               // closed
	f.entry(a, f.seqs[a]+5, 0, producer()) // skips: closes the session
	f.next(a, 0, producer())
	f.position += 7
	f.s.Void(f.position)
	fmt.Fprintf(&f.out, "%d %s %d void\n", f.position, b, f.seqs[b]+1)
	f.next(b, 0, closeOf(b), producer())
	if err := os.MkdirAll(frozenDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"entries": f.out.Bytes(), "digest": []byte(f.s.Digest().String() + "\n")} {
		if err := os.WriteFile(filepath.Join(frozenDir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// number is a topic's.
func (f *frozen) number(name string) uint64 {
	f.t.Helper()
	topic := f.s.Topic(name)
	if topic == nil {
		f.t.Fatalf("no topic %s", name)
	}
	return topic.Number
}
