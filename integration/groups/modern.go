package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var made atomic.Int64

// Modern starts a member of the consumer protocol (KIP-848).
func (g *Group) Modern() *Member {
	id := fmt.Sprintf("modern-%d", made.Add(1))
	return g.start(func(ctx context.Context, m *Member) {
		m.id, m.speaks848 = id, true
		modern(ctx, m)
	})
}

// modern heartbeats; it says everything after an answer that did not come, and gives up what it is told to give up.
func modern(ctx context.Context, m *Member) {
	epoch, full := int32(0), true
	var owned []int32
	for ctx.Err() == nil {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.g.name, m.id, epoch, -1
		if full {
			req.RebalanceTimeoutMillis = int32(rebalanceTimeout.Milliseconds())
			req.SubscribedTopicNames = []string{m.g.topic.Name}
		}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if len(owned) > 0 {
			x := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			x.TopicID, x.Partitions = m.g.topic.ID, owned
			req.Topics = append(req.Topics, x)
		}
		resp, err := m.g.ask(ctx, m.raw, 2*time.Second, req, func(r kmsg.Response) int16 {
			return r.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode
		})
		full = err != nil
		switch {
		case err == nil:
			m.hears()
			answer := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
			epoch = answer.MemberEpoch
			if answer.Assignment != nil {
				var told []int32
				for _, t := range answer.Assignment.Topics {
					told = append(told, t.Partitions...)
				}
				slices.Sort(told)
				if revokes(owned, told) {
					m.set(epoch, told)
					m.step("confirm")
				}
				owned = told
			}
			m.g.owns(m, epoch, owned)
			m.set(epoch, owned)
			err = m.g.commit(ctx, m, epoch, owned)
			if errors.Is(err, kerr.StaleMemberEpoch) || errors.Is(err, kerr.UnknownMemberID) {
				err = nil // the next heartbeat tells what is true
			}
		case errors.Is(err, kerr.FencedMemberEpoch), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.GroupIDNotFound):
			epoch, owned = 0, nil
			m.set(-1, nil)
			continue
		}
		pause(ctx, heartbeatEvery)
	}
}

func revokes(owned, told []int32) bool {
	return slices.ContainsFunc(owned, func(p int32) bool { return !slices.Contains(told, p) })
}
