package api

// WriteTxnMarkers: key 27, versions 1 to 2.

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/agent/txn"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// writeTxnMarkers is how administrators abort a transaction that hangs (KIP-664). Nobody else sends markers here, as
// transactions end in State. There is no transaction of one partition alone: a marker that aborts what is open on a
// partition aborts the transaction everywhere and shuts its producer out. A marker for a partition where the producer has
// nothing open does nothing; one that would commit is refused.
func (a *API) writeTxnMarkers(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.WriteTxnMarkersRequest)
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	for i := range body.Markers {
		if len(body.Markers[i].Topics) == 0 {
			continue // left out, as in Kafka
		}
		m := &marker{in: &body.Markers[i]}
		a.twice(ctx, m.find)
		err := m.err
		if m.end != nil {
			err = a.abortFor(ctx, m)
		}
		resp.Markers = append(resp.Markers, m.answer(err))
	}
	return resp, nil
}

var (
	errCommitMarker = refuse(kerr.InvalidTxnState, "only the producer itself commits its transaction")
	errMarkerEpoch  = refuse(kerr.InvalidProducerEpoch, "the producer has another epoch")
)

// marker is one of the request's, and what it comes to.
type marker struct {
	in      *kmsg.WriteTxnMarkersRequestMarker
	unknown map[*int32]error
	err     error
	end     *pb.Command // nil = nothing is open
}

func (m *marker) find(s *state.State, barrier error) (missing bool) {
	m.unknown, m.err, m.end = map[*int32]error{}, nil, nil
	t := s.TxnByProducer(m.in.ProducerID)
	open := false // on one of the partitions
	for i := range m.in.Topics {
		topic := s.Topic(m.in.Topics[i].Topic)
		for j := range m.in.Topics[i].Partitions {
			p := &m.in.Topics[i].Partitions[j]
			if topic == nil || topic.Partition(*p) == nil {
				m.unknown[p] = either(barrier, ErrUnknownTopic)
				continue
			}
			open = open || t != nil && t.Status == state.TxnOngoing && t.HasPartition(topic.Number, *p)
		}
	}
	switch epoch := m.in.ProducerEpoch; {
	case t == nil:
	case t.ProducerID != m.in.ProducerID: // it was given another id, so nothing of the old one is open
	case !m.in.Committed && epoch+1 == t.Epoch && t.Status == state.TxnAborted: // it comes again, or for another partition
	case epoch < t.Epoch, epoch > t.Epoch+1: // Kafka's coordinators send the epoch after the one that they end
		m.err = errMarkerEpoch
	case open && m.in.Committed:
		m.err = errCommitMarker
	case open:
		m.end = &pb.Command{Base: s.Position(), Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
			ProducerId: t.ProducerID, ProducerEpoch: int32(t.Epoch), Fence: true,
		}}}
	}
	return len(m.unknown) > 0 || t == nil // another agent may have made it a moment ago
}

// abortFor ends a transaction for an administrator, who may ask any agent, and several at once: the marker of each
// partition goes to its leader. Who comes too late looks again what there is.
func (a *API) abortFor(ctx context.Context, m *marker) error {
	_, err := a.judged(a.d.Txns.Do(ctx, txn.Ask{Command: m.end, Once: true, Check: func() error { return nil }}))
	var refused *Refused
	if !errors.As(err, &refused) {
		return err
	}
	a.d.View.Read(func(s *state.State) { m.find(s, nil) })
	if m.end != nil {
		return err // another one is open by now
	}
	return m.err
}

func (m *marker) answer(err error) kmsg.WriteTxnMarkersResponseMarker {
	out := kmsg.NewWriteTxnMarkersResponseMarker()
	out.ProducerID = m.in.ProducerID
	for i := range m.in.Topics {
		x := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
		x.Topic = m.in.Topics[i].Topic
		for j, p := range m.in.Topics[i].Partitions {
			why, unknown := m.unknown[&m.in.Topics[i].Partitions[j]]
			if !unknown {
				why = err
			}
			x.Partitions = append(x.Partitions, kmsg.WriteTxnMarkersResponseMarkerTopicPartition{
				Partition: p, ErrorCode: code(keyWriteTxnMarkers, why),
			})
		}
		out.Topics = append(out.Topics, x)
	}
	return out
}
