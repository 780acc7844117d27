package api

// ListOffsets: key 2, versions 1 to 11.

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// Timestamps below zero ask for a place in the log (Semantics line 46).
const (
	offsetLatest        = -1
	offsetEarliest      = -2
	offsetMaxTimestamp  = -3 // version 7
	offsetEarliestLocal = -4 // version 8: all is local
	offsetLatestTiered  = -5 // version 9: none is in another tier
	offsetEarliestToGo  = -6 // version 11: none is on its way there (KIP-1023)
)

// searches bounds how many partitions of one request are searched by time at once.
const searches = 8

func (a *API) listOffsets(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.ListOffsetsRequest)
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(body.Topics))
	// "Earliest" asks for a barrier too, so that records deleted through another agent are not offered any more; but as
	// log start never goes back, it is answered from the view when there is none to be had.
	var stale error
	if needsBarrier(body) {
		stale = a.barrier(ctx)
	}
	var jobs []offsetSearch
	a.twice(ctx, func(s *state.State, barrier error) (missing bool) {
		jobs, missing = listed(s, barrier, stale, req.Version, body, resp)
		return missing
	})
	var g errgroup.Group
	g.SetLimit(searches)
	for _, j := range jobs {
		g.Go(func() error {
			j.run(ctx, a.d.Log)
			return nil
		})
	}
	g.Wait() // The functions return nil: every error is in its partition's entry.
	// A topic of which no partition was asked for, or all were answered before, is left out.
	resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.ListOffsetsResponseTopic) bool { return len(t.Partitions) == 0 })
	return resp, nil
}

func needsBarrier(body *kmsg.ListOffsetsRequest) bool {
	for i := range body.Topics {
		for j := range body.Topics[i].Partitions {
			switch body.Topics[i].Partitions[j].Timestamp {
			case offsetLatestTiered, offsetEarliestToGo: // always none
			default:
				return true
			}
		}
	}
	return false
}

// repeated are the partitions that come more than once in a request.
func repeated(body *kmsg.ListOffsetsRequest) map[namedPartition]bool {
	var twice seen[namedPartition]
	var list map[namedPartition]bool
	for i := range body.Topics {
		for j := range body.Topics[i].Partitions {
			p := namedPartition{body.Topics[i].Topic, body.Topics[i].Partitions[j].Partition}
			if twice.again(p) {
				if list == nil {
					list = make(map[namedPartition]bool)
				}
				list[p] = true
			}
		}
	}
	return list
}

// listed fills in what State alone can answer and returns the searches for the rest. A partition that comes more than
// once is answered once, with an error.
func listed(s *state.State, barrier, stale error, version int16, body *kmsg.ListOffsetsRequest, resp *kmsg.ListOffsetsResponse) (jobs []offsetSearch, missing bool) {
	double := repeated(body)
	for i := range body.Topics {
		in, out := &body.Topics[i], &resp.Topics[i]
		out.Topic = in.Topic
		// The searches keep pointers to the slots, so room is made for all of them at once.
		out.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, 0, len(in.Partitions))
		t, unknown := topicRef{name: in.Topic}.find(s)
		for j := range in.Partitions {
			want := &in.Partitions[j]
			first, twice := double[namedPartition{in.Topic, want.Partition}]
			if twice && !first {
				continue
			}
			out.Partitions = append(out.Partitions, kmsg.NewListOffsetsResponseTopicPartition())
			slot := &out.Partitions[len(out.Partitions)-1]
			slot.Partition = want.Partition
			var p *state.Partition
			if unknown == nil {
				p = t.Partition(want.Partition)
			}
			err := checkEpoch(want.CurrentLeaderEpoch)
			switch {
			case twice:
				double[namedPartition{in.Topic, want.Partition}] = false
				err = errDuplicate
			case body.IsolationLevel != 0 && body.IsolationLevel != 1:
				err = refuse(kerr.InvalidRequest, "isolation level %d has no meaning", body.IsolationLevel)
			case p == nil:
				missing = true
				err = either(barrier, ErrUnknownTopic)
			case err == nil:
				job := offsetSearch{
					topic: t.Number, partition: want.Partition, ms: want.Timestamp, limit: p.Next, committed: body.IsolationLevel == 1, slot: slot,
				}
				if job.committed {
					job.limit = p.LSO()
				}
				if err = job.fromState(version, p, stale); err == nil && job.pending {
					jobs = append(jobs, job)
				}
			}
			slot.ErrorCode = code(keyListOffsets, err)
		}
	}
	return jobs, missing
}

// offsetSearch is one partition of a ListOffsets request.
type offsetSearch struct {
	topic     uint64
	partition int32
	ms, limit int64
	committed bool
	slot      *kmsg.ListOffsetsResponseTopicPartition
	pending   bool
}

func (j *offsetSearch) fromState(version int16, p *state.Partition, stale error) error {
	place := func(offset int64) { j.slot.Offset, j.slot.LeaderEpoch = offset, 0 }
	switch {
	case j.ms == offsetEarliest, j.ms == offsetEarliestLocal && version >= 8:
		place(p.LogStart)
	case j.ms == offsetLatestTiered && version >= 9, j.ms == offsetEarliestToGo && version >= 11:
	case j.ms == offsetLatest && stale == nil:
		place(j.limit)
	case j.ms >= 0 && stale == nil, j.ms == offsetMaxTimestamp && version >= 7 && stale == nil:
		j.pending = true
	case j.ms >= offsetLatest || j.ms == offsetMaxTimestamp && version >= 7:
		return stale
	default:
		return refuse(kerr.UnsupportedVersion, "timestamp %d has no meaning in version %d", j.ms, version)
	}
	return nil
}

// run searches inside batches (Semantics line 47). None is offset -1 and timestamp -1, not the high watermark.
func (j *offsetSearch) run(ctx context.Context, log Log) {
	var offset, timestamp int64
	var err error
	if j.ms == offsetMaxTimestamp {
		offset, timestamp, err = log.MaxTime(ctx, j.topic, j.partition, j.committed)
	} else {
		offset, timestamp, err = log.TimeOffset(ctx, j.topic, j.partition, j.ms, j.limit)
	}
	switch {
	case err != nil:
		j.slot.ErrorCode = code(keyListOffsets, err)
	case offset >= 0:
		j.slot.Offset, j.slot.Timestamp, j.slot.LeaderEpoch = offset, timestamp, 0
	}
}
