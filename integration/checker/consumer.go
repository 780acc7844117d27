package checker

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	h "wadi/integration/history"
	"wadi/integration/history/judge"
)

// assigned is a consumer by assignment from the start of everything, which is to keep up.
func (r *run) assigned(ctx context.Context, who string, isolation kgo.IsolationLevel) {
	from := map[string]map[int32]kgo.Offset{}
	for _, t := range r.topics {
		from[t.name] = map[int32]kgo.Offset{}
		for p := range t.partitions {
			from[t.name][p] = kgo.NewOffset().At(0)
			r.rec.Add(h.Fact{Kind: h.Seek, Who: who, Name: judge.Live, Topic: t.name, Partition: p})
		}
	}
	cl, l, err := r.client(who, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(isolation))
	if err != nil {
		r.fail(err)
		return
	}
	defer l.cut()
	defer cl.Close()
	committed := isolation == kgo.ReadCommitted()
	for poll := int64(1); ctx.Err() == nil; poll++ {
		fetches := cl.PollFetches(ctx)
		r.fetched(who, fetches)
		fetches.EachRecord(func(rec *kgo.Record) {
			r.read(who, 0, poll, committed, "", rec)
			r.reached(who, rec)
		})
	}
	r.rec.Add(h.Fact{Kind: h.Seek, Who: who}) // until here it was to keep up
}

// lagging is a consumer that begins at the start again and again and never catches up.
func (r *run) lagging(ctx context.Context, name string, isolation kgo.IsolationLevel) {
	random := r.random(name)
	for life := 1; ctx.Err() == nil; life++ {
		who := fmt.Sprintf("%s.%d", name, life)
		from := map[string]map[int32]kgo.Offset{}
		for _, t := range r.topics {
			p := random.Int32N(t.partitions)
			from[t.name] = map[int32]kgo.Offset{p: kgo.NewOffset().At(0)}
		}
		cl, l, err := r.client(who, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(isolation), kgo.FetchMaxPartitionBytes(16<<10))
		if err != nil {
			r.fail(err)
			return
		}
		for end, poll := time.Now().Add(20*time.Second), int64(1); time.Now().Before(end) && ctx.Err() == nil; poll++ {
			short, cancel := context.WithTimeout(ctx, time.Second)
			fetches := cl.PollRecords(short, 30)
			cancel()
			r.fetched(who, fetches)
			fetches.EachRecord(func(rec *kgo.Record) {
				r.read(who, 0, poll, isolation == kgo.ReadCommitted(), "", rec)
			})
			pause(ctx, 40*time.Millisecond)
		}
		cl.Close()
		l.cut()
	}
}

// readersGroup is the group of those who subscribe.
const readersGroup = "readers"

// subscribed is a member of that group, which commits what it has read, leaves or crashes after a while, and comes again.
func (r *run) subscribed(ctx context.Context, name string) {
	random := r.random(name)
	for life := 1; ctx.Err() == nil; life++ {
		who := fmt.Sprintf("%s.%d", name, life)
		cl, l, err := r.client(who,
			kgo.ConsumerGroup(readersGroup), kgo.ConsumeTopics(r.mixed.name), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
			kgo.Balancers(kgo.RangeBalancer()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond), kgo.RebalanceTimeout(10*time.Second),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, got map[string][]int32) { r.owns(readersGroup, who, cl, got) }),
		)
		if err != nil {
			r.fail(err)
			return
		}
		end := time.Now().Add(time.Duration(10+random.IntN(25)) * time.Second)
		for poll := int64(1); time.Now().Before(end) && ctx.Err() == nil; poll++ {
			r.consume(ctx, who, cl, poll, random.IntN(3) == 0)
			cl.AllowRebalance()
		}
		if random.IntN(2) == 0 {
			l.cut()
		}
		cl.CloseAllowingRebalance()
		l.cut()
	}
}

// consume polls once and commits what it got, sometimes under a generation that is over.
func (r *run) consume(ctx context.Context, who string, cl *kgo.Client, poll int64, late bool) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	fetches := cl.PollRecords(short, 100)
	r.fetched(who, fetches)
	last := map[int32]int64{}
	fetches.EachRecord(func(rec *kgo.Record) {
		r.read(who, 0, poll, true, "", rec)
		last[rec.Partition] = rec.Offset + 1
	})
	member, generation := cl.GroupMetadata()
	if len(last) == 0 || generation < 0 {
		return
	}
	r.commit(ctx, who, cl, member, generation, last)
	if late && generation > 1 {
		for p := range last {
			last[p] = 0
		}
		r.commit(ctx, who, cl, member, generation-1, last)
	}
}

// commit commits offsets of the mixed topic under a generation, and records how that went.
func (r *run) commit(ctx context.Context, who string, cl *kgo.Client, member string, generation int32, offsets map[int32]int64) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = readersGroup, member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = r.mixed.name, r.mixed.id
	attempts := map[int32]h.Fact{}
	for p, o := range offsets {
		x := kmsg.NewOffsetCommitRequestTopicPartition()
		x.Partition, x.Offset = p, o
		t.Partitions = append(t.Partitions, x)
		f := h.Fact{Kind: h.CommitAttempt, Who: who, Name: readersGroup, Topic: r.mixed.name, Partition: p, Offset: o, Generation: generation}
		f.Ref = r.rec.Add(f)
		f.Kind, f.Outcome = h.CommitReply, h.Unknown
		attempts[p] = f
	}
	req.Topics = append(req.Topics, t)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	resp, err := req.RequestWith(bounded, cl)
	for p, f := range attempts {
		switch {
		case err != nil:
			f.Error = err.Error()
		default:
			if code, found := commitCode(resp, p); !found {
				f.Error = "the answer does not name the partition"
			} else if e := kerr.ErrorForCode(code); e == nil {
				f.Outcome = h.OK
			} else if f.Error = e.Error(); !kerr.IsRetriable(e) {
				f.Outcome = h.Refused
			}
		}
		r.rec.Add(f)
	}
}

func commitCode(resp *kmsg.OffsetCommitResponse, partition int32) (int16, bool) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.Partition == partition {
				return p.ErrorCode, true
			}
		}
	}
	return 0, false
}
