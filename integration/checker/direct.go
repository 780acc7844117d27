package checker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	h "wadi/integration/history"
)

// direct asks one broker alone, whoever leads what.
type direct struct {
	r      *run
	who    string
	broker int
	cl     *kgo.Client
	line   *line
}

func (r *run) direct(who string, broker int) (*direct, error) {
	l := r.net.line()
	l.roams = false
	cl, err := kgo.NewClient(append(r.options(who, l), kgo.SeedBrokers(r.net.addresses[broker]), kgo.RequestRetries(0))...)
	if err != nil {
		return nil, fmt.Errorf("client %s: %w", who, err)
	}
	return &direct{r: r, who: who, broker: broker, cl: cl, line: l}, nil
}

func (d *direct) close() {
	d.cl.Close()
	d.line.cut()
}

func (d *direct) name() string { return string(rune('A' + d.broker)) }

func (d *direct) do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return d.cl.SeedBrokers()[0].Request(bounded, req)
}

// fetch asks for a partition from an offset on. It records the marks that come with the answer.
func (d *direct) fetch(ctx context.Context, t topic, p int32, offset int64, committed bool) (kgo.FetchPartition, int64, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 100, 1, 4<<20, -1
	if committed {
		req.IsolationLevel = 1
	}
	one, part := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	one.Topic, one.TopicID = t.name, t.id
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch, part.LogStartOffset = p, offset, 1<<20, -1, -1
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	resp, err := d.do(ctx, req)
	if err != nil {
		return kgo.FetchPartition{}, offset, err
	}
	got := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return kgo.FetchPartition{}, offset, err
	}
	if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, offset, errors.New("the answer does not list what was asked for")
	}
	isolation := kgo.ReadUncommitted()
	if committed {
		isolation = kgo.ReadCommitted()
	}
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, Topic: t.name, Partition: p, IsolationLevel: isolation,
	}, &got.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	f := h.Fact{Who: d.who, Broker: d.name(), Topic: t.name, Partition: p, Offset: offset}
	switch {
	case fp.Err == nil:
		f.Kind, f.LogStart, f.Stable, f.High = h.Marks, fp.LogStartOffset, fp.LastStableOffset, fp.HighWatermark
		d.r.rec.Add(f)
	case errors.Is(fp.Err, kerr.OffsetOutOfRange):
		f.Kind, f.LogStart = h.OutOfRange, fp.LogStartOffset
		d.r.rec.Add(f)
		return fp, offset, fp.Err
	default:
		return fp, offset, fp.Err
	}
	return fp, next, nil
}

// end asks for the end of a partition, the stable one or the high watermark, and records question and answer.
func (d *direct) end(ctx context.Context, t topic, p int32, committed bool) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	if committed {
		req.IsolationLevel = 1
	}
	one, part := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	one.Topic = t.name
	part.Partition, part.Timestamp, part.CurrentLeaderEpoch = p, -1, -1
	one.Partitions = append(one.Partitions, part)
	req.Topics = append(req.Topics, one)
	f := h.Fact{Kind: h.EndAsk, Who: d.who, Broker: d.name(), Topic: t.name, Partition: p, Committed: committed}
	f.Ref = d.r.rec.Add(f)
	resp, err := d.do(ctx, req)
	if err != nil {
		return -1, err
	}
	got := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return -1, err
	}
	f.Kind, f.Offset = h.EndTold, got.Offset
	d.r.rec.Add(f)
	return got.Offset, nil
}

// observe reads here and there and asks for ends, as long as the broker answers: what caches hold must be what others see.
func (r *run) observe(ctx context.Context, broker int) {
	who := fmt.Sprintf("observer-%c", 'A'+broker)
	d, err := r.direct(who, broker)
	if err != nil {
		r.fail(err)
		return
	}
	defer d.close()
	random := r.random(who)
	for pause(ctx, 25*time.Millisecond) {
		t := r.topics[random.IntN(len(r.topics))]
		p, committed := random.Int32N(t.partitions), random.IntN(2) == 0
		end, err := d.end(ctx, t, p, committed)
		if err != nil || end == 0 {
			continue
		}
		// Often near the end, where what is open lies.
		at := end - 1 - random.Int64N(min(end, 30))
		if random.IntN(4) == 0 {
			at = random.Int64N(end)
		}
		fp, _, err := d.fetch(ctx, t, p, at, committed)
		if err != nil {
			continue
		}
		reader := who + "/all"
		if committed {
			reader = who + "/committed"
		}
		r.rec.Add(h.Fact{Kind: h.Seek, Who: reader, Topic: t.name, Partition: p})
		for _, rec := range fp.Records {
			r.read(reader, 0, 0, committed, d.name(), rec)
		}
	}
}

// watchOffsets asks for the committed offsets of the groups, with and without require_stable.
func (r *run) watchOffsets(ctx context.Context) {
	const who = "offsets"
	cl, l, err := r.client(who)
	if err != nil {
		r.fail(err)
		return
	}
	defer l.cut()
	defer cl.Close()
	for n := 0; pause(ctx, 150*time.Millisecond); n++ {
		r.askOffsets(ctx, who, cl, n%2 == 0)
	}
}

// askOffsets asks once for everything; false when something was not answered.
func (r *run) askOffsets(ctx context.Context, who string, cl *kgo.Client, stable bool) bool {
	_, all := r.askGroup(ctx, who, cl, readersGroup, r.mixed, stable)
	if r.o.Transactions {
		for _, group := range []string{transformGroup, handGroup} {
			_, ok := r.askGroup(ctx, who, cl, group, r.in, stable)
			all = all && ok
		}
	}
	return all
}

// askGroup asks for what a group has committed of a topic, and records question and answers. It returns the offsets, and
// false when some partition was not told.
func (r *run) askGroup(ctx context.Context, who string, cl *kgo.Client, group string, t topic, stable bool) (map[int32]int64, bool) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = stable
	g, one := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
	g.Group, g.MemberEpoch, one.Topic, one.TopicID = group, -1, t.name, t.id
	asks := map[int32]h.Fact{}
	for p := range t.partitions {
		one.Partitions = append(one.Partitions, p)
		f := h.Fact{Kind: h.OffsetAsk, Who: who, Name: group, Topic: t.name, Partition: p, Committed: stable}
		f.Ref = r.rec.Add(f)
		f.Kind = h.OffsetTold
		asks[p] = f
	}
	g.Topics = append(g.Topics, one)
	req.Groups = append(req.Groups, g)
	bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, err := req.RequestWith(bounded, cl)
	if err != nil || len(resp.Groups) != 1 || resp.Groups[0].ErrorCode != 0 {
		return nil, false
	}
	told, all := map[int32]int64{}, true
	for _, x := range resp.Groups[0].Topics {
		for _, p := range x.Partitions {
			f, ok := asks[p.Partition]
			if !ok {
				continue
			}
			f.Outcome, f.Offset = h.OK, p.Offset
			if e := kerr.ErrorForCode(p.ErrorCode); e != nil {
				f.Outcome, f.Error, all = h.Refused, e.Error(), false
			} else {
				told[p.Partition] = p.Offset
			}
			r.rec.Add(f)
		}
	}
	return told, all
}
