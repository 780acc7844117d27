package state

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

const maxTwinProducer = 3

// drawEntry draws an entry that mostly makes sense after what the twin holds, and sometimes does not.
func drawEntry(t *rapid.T, w *twin) Entry {
	e := Entry{
		Position: w.position + int64(rapid.IntRange(1, 3).Draw(t, "position step")),
		Session:  layout.Session(rapid.IntRange(1, 4).Draw(t, "session")),
		Seq:      1,
		Body:     &pb.Entry{AtMs: 1_700_000_000_000 + rapid.Int64Range(-100_000, 100_000).Draw(t, "ms")},
	}
	v := w.sessions[e.Session]
	if v == nil || rarely(t, "open again") {
		if w.cluster == nil || rarely(t, "init again") {
			e.Body.Commands = append(e.Body.Commands, drawInit(t))
		}
		if !rarely(t, "no open") {
			e.Body.Commands = append(e.Body.Commands, drawOpen(t, e))
		}
	}
	if v != nil {
		e.Seq = v.LastSeq + 1
	}
	if rarely(t, "other seq") {
		e.Seq = uint64(max(1, int64(e.Seq)+int64(rapid.IntRange(-2, 2).Draw(t, "seq step"))))
	}
	d := drawing{w: w, next: map[producerKey]int32{}, flush: 1, merge: 1}
	if v != nil {
		d.flush, d.merge = v.LastFlush+1, v.LastMerge+1
	}
	for range rapid.IntRange(0, 4).Draw(t, "commands") {
		e.Body.Commands = append(e.Body.Commands, d.command(t))
	}
	e.Body.Inline = make([]byte, d.inline)
	return e
}

func rarely(t *rapid.T, label string) bool { return rapid.IntRange(0, 19).Draw(t, label) == 19 }

func drawInit(t *rapid.T) *pb.Command {
	c := initCluster()
	if rarely(t, "bad init") {
		k := c.GetInitCluster()
		*rapid.SampledFrom([]*uint32{&k.Incarnation, &k.FeatureLevel}).Draw(t, "field") = rapid.SampledFrom([]uint32{0, 2}).Draw(t, "v")
	}
	return c
}

func drawOpen(t *rapid.T, e Entry) *pb.Command {
	c := openSession()
	if rapid.IntRange(0, 3).Draw(t, "a list") == 3 {
		k := c.GetOpenSession()
		k.ListedAt = e.Position - int64(rapid.IntRange(1, 8).Draw(t, "listed at"))
		for id := range int64(5) {
			if id == int64(e.Session) || !rarely(t, "not listed") {
				k.Listed = append(k.Listed, id)
			}
		}
		if rarely(t, "bad list") {
			k.ListedAt += int64(rapid.IntRange(0, 8).Draw(t, "later"))
			k.Listed = rapid.SliceOfN(rapid.Int64Range(0, 4), 0, 4).Draw(t, "any list")
		}
	}
	c.GetOpenSession().NewNodeId = rapid.Bool().Draw(t, "new node id")
	c.GetOpenSession().Address = rapid.SampledFrom([]string{"", "a:1", "a:2"}).Draw(t, "address")
	if rarely(t, "bad levels") {
		c.GetOpenSession().MinFeatureLevel = uint32(rapid.IntRange(0, 2).Draw(t, "min"))
		c.GetOpenSession().MaxFeatureLevel = uint32(rapid.IntRange(0, 2).Draw(t, "max"))
	}
	return c
}

type producerKey struct {
	topic     uint64
	partition uint32
	id        int64
	epoch     int32
}

// drawing is what the commands of one entry add up to while they are drawn.
type drawing struct {
	w      *twin
	next   map[producerKey]int32
	flush  uint64
	merge  uint64
	inline uint64
	stamps bool // a command of the entry may make a topic stamp its records
}

func (d *drawing) command(t *rapid.T) *pb.Command {
	base := rapid.Int64Range(max(0, d.w.position-6), d.w.position).Draw(t, "base")
	op := rapid.SampledFrom(d.w.mix).Draw(t, "command")
	if op == 'a' && len(d.live()) == 0 && !rarely(t, "without a topic") {
		op = 'c'
	}
	switch op {
	case 'G':
		return d.group(t, base)
	case 'R':
		return d.replace(t)
	case 'f':
		return d.forget(t)
	case 'F':
		return d.fold(t)
	case 'l':
		return d.release(t)
	case 'u':
		return d.unfold(t)
	case 'T':
		return d.txn(t, base)
	case 'a':
		return d.append(t)
	case 'c':
		d.stamps = true
		name := rapid.SampledFrom([]string{"a", "b", "a.b", "a_b", "c", ""}).Draw(t, "name")
		c := createTopic(name, uint32(rapid.SampledFrom([]int{1, 2, 3, 2, 0}).Draw(t, "partitions")), base)
		if rapid.Bool().Draw(t, "configs") {
			c.GetCreateTopic().Configs = rapid.SampledFrom([][]*pb.Config{
				{{Name: "message.timestamp.type", Value: "LogAppendTime"}},
				{{Name: "cleanup.policy", Value: "delete"}, {Name: "message.timestamp.type", Value: "CreateTime"}},
				{{Name: "b"}, {Name: "a"}},
			}).Draw(t, "values")
		}
		return c
	case 'k':
		d.stamps = true
		return d.alter(t, base)
	case 'd':
		return deleteTopic(d.topic(t), base)
	case 'g':
		topic, _ := d.partition(t)
		count := rapid.IntRange(0, 4).Draw(t, "count")
		if known := d.w.live(topic); known != nil {
			count = len(known.parts) + rapid.IntRange(-1, 2).Draw(t, "growth")
		}
		return createPartitions(topic, uint32(count), base)
	case 't':
		return d.trim(t, base)
	case 'p':
		return initProducer()
	case 'm':
		return mark()
	case 'r':
		from, to := d.w.archived, int64(0)
		if len(d.w.marks) > 0 {
			to = rapid.SampledFrom(d.w.marks).Draw(t, "mark")
		}
		if rarely(t, "other archive") {
			from, to = from+int64(rapid.IntRange(-1, 1).Draw(t, "from")), to+int64(rapid.IntRange(-1, 3).Draw(t, "to"))
		}
		return archived(from, to)
	case 's':
		return sweep(uint32(rapid.IntRange(0, 12).Draw(t, "limit")))
	default:
		if rapid.Bool().Draw(t, "really close") {
			return closeSession(layout.Session(rapid.IntRange(1, 5).Draw(t, "closed")))
		}
		return rapid.SampledFrom([]*pb.Command{initCluster(), openSession()}).Draw(t, "again")
	}
}

// commandMix is what commands are drawn from: groups, transactions, replaced, folded, released and unfolded runs, forgotten objects
// and sessions, configs, append, create, delete, grow, trim, producer id, mark, archived, sweep,
// other.
var commandMix = []byte("GGGGGGGGTTTTTTTTTTTTRRRRRFFFFllluuuuuffkkaaaaaaaaaaaaaaccdgtttpmmrrssso")

// trim mostly moves log starts to where they can be.
func (d *drawing) trim(t *rapid.T, base int64) *pb.Command {
	var trims []trim
	for range rapid.IntRange(1, 3).Draw(t, "trims") {
		topic, partition := d.partition(t)
		offset := int64(rapid.IntRange(-1, 3).Draw(t, "any offset"))
		if known := d.w.live(topic); known != nil && int(partition) < len(known.parts) {
			p := known.parts[partition]
			offset = rapid.SampledFrom([]int64{
				p.start, (p.start + p.next) / 2, (p.start + p.next + 1) / 2, p.next - 1, p.next, p.next + 1, p.start - 1,
			}).Draw(t, "offset")
		}
		trims = append(trims, trim{topic, partition, offset})
	}
	c := trimPartitions(base, trims...)
	if rarely(t, "malformed trim") {
		k := c.GetTrimPartitions()
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			k.Offsets = k.Offsets[1:]
		case 1:
			k.Partitions = append(k.Partitions, 0)
		default:
			k.Reset()
		}
	}
	return c
}

func (d *drawing) live() []*twinTopic {
	var list []*twinTopic
	for _, t := range d.w.topics {
		if t.Deleted == 0 {
			list = append(list, t)
		}
	}
	return list
}

// partition is mostly one that is there.
func (d *drawing) partition(t *rapid.T) (topic uint64, partition uint32) {
	if live := d.live(); len(live) > 0 && !rarely(t, "any partition") {
		chosen := rapid.SampledFrom(live).Draw(t, "live topic")
		return chosen.Number, uint32(rapid.IntRange(0, len(chosen.parts)-1).Draw(t, "partition"))
	}
	return d.topic(t), uint32(rapid.IntRange(0, 3).Draw(t, "partition"))
}

func (d *drawing) topic(t *rapid.T) uint64 {
	return uint64(rapid.IntRange(max(0, len(d.w.topics)-4), len(d.w.topics)+1).Draw(t, "topic"))
}

func (d *drawing) append(t *rapid.T) *pb.Command {
	var batches []batch
	for range rapid.IntRange(1, 3).Draw(t, "stretches") {
		topic, partition := d.partition(t)
		producer := int64(rapid.IntRange(-1, maxTwinProducer).Draw(t, "producer"))
		epoch := int32(rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, -1, math.MaxInt16 + 1}).Draw(t, "epoch"))
		if d.w.txnOf(producer) != nil && !rarely(t, "of a transactional id") {
			producer += 100
		}
		transactional := uint32(0)
		if x := d.w.txn(rapid.SampledFrom(drawnTxns).Draw(t, "transaction")); x != nil && rapid.Bool().Draw(t, "transactional") {
			producer, epoch = d.producer(t, x)
			transactional = uint32(rapid.SampledFrom([]int{2, 2, 2, 1, 1, 0}).Draw(t, "kind"))
			if len(x.parts) > 0 && rapid.Bool().Draw(t, "where it is") {
				at := slices.Collect(maps.Keys(x.parts))
				slices.SortFunc(at, func(a, b twinOffsetKey) int {
					return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
				})
				key := rapid.SampledFrom(at).Draw(t, "its partition")
				topic, partition = key.topic, key.partition
			}
		}
		key := producerKey{topic, partition, producer, epoch}
		seq := d.sequence(t, key)
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			b := batch{
				topic: topic, partition: partition, producer: producer, epoch: epoch, seq: seq,
				records: uint32(rapid.IntRange(1, 3).Draw(t, "records")), bytes: uint32(rapid.IntRange(1, 20).Draw(t, "bytes")),
				delta: int64(rapid.IntRange(-3, 3).Draw(t, "delta")), transactional: transactional,
			}
			batches = append(batches, b)
			if seq >= 0 {
				seq = AddSequence(seq, int32(b.records))
			}
		}
		d.next[key] = seq
	}
	flush := uint64(0)
	if rapid.Bool().Draw(t, "object") {
		flush = d.flush
		d.flush++
		if rarely(t, "flush reused") {
			flush = max(1, flush-1)
		}
	}
	c := appendBatches(flush, batches...)
	k := c.GetAppendBatches()
	k.Hedge = rapid.Bool().Draw(t, "hedge")
	if flush == 0 {
		for i := range k.Offsets {
			k.Offsets[i] += d.inline
		}
		for _, n := range k.Bytes {
			d.inline += uint64(n)
		}
	}
	if rarely(t, "malformed") {
		d.deform(t, k)
	}
	return c
}

// sequence is mostly the one that the partition expects.
func (d *drawing) sequence(t *rapid.T, key producerKey) int32 {
	if key.id < 0 {
		return -1
	}
	expected, earlier := int32(0), int32(0)
	if topic := d.w.live(key.topic); topic != nil && int(key.partition) < len(topic.parts) {
		if known := topic.parts[key.partition].producers[key.id]; known != nil {
			if int32(known.epoch) == key.epoch {
				expected = NextSequence(known.sent[len(known.sent)-1].last())
			}
			earlier = rapid.SampledFrom(known.sent).Draw(t, "earlier").seq
		}
	}
	if next, ok := d.next[key]; ok {
		expected = next
	}
	switch op := rapid.IntRange(0, 9).Draw(t, "sequence"); {
	case op < 7:
		return expected
	case op < 9:
		return earlier
	default:
		return rapid.SampledFrom([]int32{0, 1, 5, -1, math.MaxInt32}).Draw(t, "any")
	}
}

// deform breaks one column.
func (d *drawing) deform(t *rapid.T, k *pb.AppendBatches) {
	switch rapid.IntRange(0, 9).Draw(t, "deform") {
	case 0:
		k.Topics = append(k.Topics, 1)
	case 1:
		k.Records[0] = rapid.SampledFrom([]uint32{0, math.MaxInt32, math.MaxUint32}).Draw(t, "records")
	case 2:
		k.Bytes[0] = rapid.SampledFrom([]uint32{0, math.MaxUint32}).Draw(t, "bytes")
	case 3:
		k.Offsets[0] = rapid.SampledFrom([]uint64{math.MaxUint64, math.MaxUint32, 1}).Draw(t, "offset")
	case 4:
		k.Runs[len(k.Runs)-1] += uint32(rapid.SampledFrom([]int{1, -1, math.MaxUint32 - 5}).Draw(t, "runs"))
	case 5:
		k.Batches[0] += uint32(rapid.SampledFrom([]int{1, -1, math.MaxUint32 - 5}).Draw(t, "batches"))
	case 6:
		k.Sequences = k.Sequences[1:]
	case 7:
		for _, topic := range d.live() {
			if d.stamps || d.w.stamps(topic) {
				return // State remembers the times of appends, and not such ones exactly
			}
		}
		k.MaxTimestamps[0] = rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}).Draw(t, "timestamp")
	case 8:
		k.Size = rapid.SampledFrom([]uint64{0, math.MaxUint64, math.MaxUint32 + 1}).Draw(t, "size")
	default:
		k.ProducerIds[0] = rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64}).Draw(t, "producer")
	}
}
