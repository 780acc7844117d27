package groups

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Member is one member of a group, run by Classic or Modern. What it has now is read with Now.
type Member struct {
	g    *Group
	raw  clients
	id   string
	stop context.CancelFunc
	end  chan struct{}

	speaks848 bool

	mu struct {
		sync.Mutex
		generation int32 // or epoch; -1 = not in the group
		owned      []int32
		joins      int // generations and epochs that it came to
		heard      time.Time
		silence    time.Duration // the longest between two answers to heartbeats since it was last asked for
	}
}

// hears notes that a heartbeat was answered.
func (m *Member) hears() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.mu.silence, m.mu.heard = max(m.mu.silence, now.Sub(m.mu.heard)), now
}

// Silence is the longest time between two answers to heartbeats since the last call.
func (m *Member) Silence() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	longest := max(m.mu.silence, time.Since(m.mu.heard))
	m.mu.silence = 0
	return longest
}

// Now is what a member believes: its generation, its partitions, and how many generations it has been in.
func (m *Member) Now() (generation int32, owned []int32, joins int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.generation, slices.Clone(m.mu.owned), m.mu.joins
}

func (m *Member) set(generation int32, owned []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if generation >= 0 && generation != m.mu.generation {
		m.mu.joins++
	}
	m.mu.generation, m.mu.owned = generation, owned
}

func (g *Group) start(run func(ctx context.Context, m *Member)) *Member {
	m := &Member{g: g, raw: newClients(g.t, g.c), end: make(chan struct{})}
	m.mu.generation, m.mu.heard = -1, time.Now()
	ctx, stop := context.WithCancel(g.ctx)
	m.stop = stop
	g.members = append(g.members, m)
	g.running.Go(func() {
		defer close(m.end)
		run(ctx, m)
	})
	return m
}

// Kill ends the member without a word.
func (m *Member) Kill() {
	m.stop()
	<-m.end
	m.g.members = slices.DeleteFunc(m.g.members, func(x *Member) bool { return x == m })
}

func (m *Member) step(name string) {
	m.g.mu.Lock()
	f := m.g.mu.before
	m.g.mu.Unlock()
	if f != nil {
		f(m, name)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Classic starts a member of the classic protocol that does what clients do: it joins, assigns as a leader, heartbeats,
// commits, and comes again when it is told to.
func (g *Group) Classic() *Member { return g.start(classic) }

func classic(ctx context.Context, m *Member) {
	for ctx.Err() == nil {
		generation, owned, err := m.enter(ctx)
		if err == nil {
			m.g.owns(m, generation, owned)
			m.set(generation, owned)
			err = m.stay(ctx, generation, owned)
		}
		m.set(-1, nil)
		if errors.Is(err, kerr.UnknownMemberID) {
			m.id = ""
		}
		if err != nil && !errors.Is(err, kerr.RebalanceInProgress) {
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// enter joins a generation and returns its number and what the member got.
func (m *Member) enter(ctx context.Context) (int32, []int32, error) {
	m.step("join")
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = m.g.name, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(sessionTimeout.Milliseconds()), int32(rebalanceTimeout.Milliseconds())
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "test", []byte("metadata")
	req.Protocols = append(req.Protocols, p)
	resp, err := m.g.ask(ctx, m.raw, rebalanceTimeout+5*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.JoinGroupResponse).ErrorCode })
	if errors.Is(err, kerr.MemberIDRequired) {
		m.id = resp.(*kmsg.JoinGroupResponse).MemberID
		return m.enter(ctx)
	}
	if err != nil {
		return -1, nil, err
	}
	joined := resp.(*kmsg.JoinGroupResponse)
	m.id = joined.MemberID
	m.step("sync")
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = m.g.name, m.id, joined.Generation
	sync.ProtocolType, sync.Protocol = joined.ProtocolType, joined.Protocol
	if joined.LeaderID == m.id {
		m.step("lead")
		sync.GroupAssignment = divide(joined.Members, m.g.topic.Partitions)
	}
	resp, err = m.g.ask(ctx, m.raw, rebalanceTimeout+5*time.Second, sync, func(r kmsg.Response) int16 { return r.(*kmsg.SyncGroupResponse).ErrorCode })
	if err != nil {
		return -1, nil, err
	}
	var owned []int32
	if b := resp.(*kmsg.SyncGroupResponse).MemberAssignment; len(b) > 0 {
		err = json.Unmarshal(b, &owned)
	}
	return joined.Generation, owned, err
}

// divide gives the members stretches of the partitions.
func divide(members []kmsg.JoinGroupResponseMember, partitions int32) (list []kmsg.SyncGroupRequestGroupAssignment) {
	slices.SortFunc(members, func(a, b kmsg.JoinGroupResponseMember) int { return cmp.Compare(a.MemberID, b.MemberID) })
	for i, m := range members {
		var owned []int32
		for p := range partitions {
			if int(p)*len(members)/int(partitions) == i {
				owned = append(owned, p)
			}
		}
		x := kmsg.NewSyncGroupRequestGroupAssignment()
		x.MemberID = m.MemberID
		x.MemberAssignment, _ = json.Marshal(owned) // numbers always marshal
		list = append(list, x)
	}
	return list
}

// stay heartbeats and commits until the generation is over. A coordinator that is gone does not end it.
func (m *Member) stay(ctx context.Context, generation int32, owned []int32) error {
	for ctx.Err() == nil {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = m.g.name, m.id, generation
		_, err := m.g.ask(ctx, m.raw, 2*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.HeartbeatResponse).ErrorCode })
		if err == nil {
			m.hears()
			err = m.g.commit(ctx, m, generation, owned)
		}
		switch {
		case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID):
			return err
		}
		pause(ctx, heartbeatEvery)
	}
	return ctx.Err()
}

// Leave ends the member in order: a LeaveGroup request, or a heartbeat that says so.
func (m *Member) Leave() {
	modern := m.speaks848
	m.Kill()
	ctx, cancel := context.WithTimeout(m.g.ctx, 2*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		var err error
		if modern {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Group, req.MemberID, req.MemberEpoch = m.g.name, m.id, -1
			_, err = m.g.ask(ctx, m.raw, 2*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.ConsumerGroupHeartbeatResponse).ErrorCode })
		} else {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group = m.g.name
			x := kmsg.NewLeaveGroupRequestMember()
			x.MemberID = m.id
			req.Members = append(req.Members, x)
			_, err = m.g.ask(ctx, m.raw, 2*time.Second, req, func(r kmsg.Response) int16 { return r.(*kmsg.LeaveGroupResponse).ErrorCode })
		}
		if err == nil || errors.Is(err, kerr.UnknownMemberID) {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	m.g.t.Errorf("%s could not leave", m.id)
}
