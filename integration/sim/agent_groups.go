package sim

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"wadi/agent/api"
	"wadi/agent/group"
	kip848 "wadi/agent/group/consumer"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

const (
	groupKeeping   = 100 * time.Millisecond // how often an agent looks whether its groups are still its own
	groupAdopting  = 4 * time.Second        // how often for groups that became its own without its noticing
	groupLoading   = 2 * time.Second        // bounds a load
	modernSession  = 3 * time.Second
	modernInterval = 250 * time.Millisecond
)

// startGroups gives the process a coordinator.
func (a *agent) startGroups() {
	w := a.w
	a.groups = group.NewCore(group.Config{
		InitialDelay: 200 * time.Millisecond, MinSession: time.Second, MaxSession: time.Minute, MaxSize: 20,
		NewID:        func() string { w.ids++; return fmt.Sprint(w.ids) },
		MaxConsumers: 20, Topics: groupTopics{a},
		Consumers: func(string) group.ConsumerSettings {
			return group.ConsumerSettings{Session: modernSession, Interval: modernInterval}
		},
	}, (*groupEffects)(a))
	a.listMembers(0)
	a.tick(relist, func() { a.listMembers(0) })
	a.tick(groupKeeping, a.keepGroups)
}

// groupStep lets the groups' core take an event, carries its effects out and plans its next tick.
func (a *agent) groupStep(f func(c *group.Core, now time.Duration)) {
	f(a.groups, a.mono())
	effects := a.groupFx
	a.groupFx = nil
	for _, e := range effects {
		e()
	}
	next := a.groups.Next()
	if next > time.Hour { // never
		return
	}
	due := max(next+a.started, a.w.now)
	if a.groupWake > a.w.now && a.groupWake <= due {
		return
	}
	a.groupWake = due
	a.after(due-a.w.now, func() {
		if a.groupWake == due {
			a.groupWake = 0
			a.groupStep((*group.Core).Tick)
		}
	})
}

func (a *agent) leaseHolds() bool { return a.mono() < a.sess.AliveUntil() }

func (a *agent) mine(name string) bool {
	_, self, open := a.sess.Session()
	b, ok := api.GroupCoordinator(name, a.brokers())
	return ok && open && b.NodeID == self
}

// coordinates tells whether the agent answers for a group now; if it does, its lease must be there.
func (a *agent) coordinates(name string) bool {
	if a.groups == nil || !a.caughtUp || !a.opened || !a.leaseHolds() || !a.mine(name) {
		return false
	}
	a.w.oracle.groups.answers(a)
	return true
}

// keepGroups gives up what is not the agent's any more and takes over what has become its own.
func (a *agent) keepGroups() {
	alive := a.leaseHolds()
	if !alive {
		waiting := a.commits
		a.commits = nil
		for _, c := range waiting {
			c.answer(group.ErrNotCoordinator)
		}
	}
	var lost []string
	for _, name := range a.groups.Names() {
		if !alive || !a.mine(name) {
			lost = append(lost, name)
		}
	}
	if len(lost) > 0 {
		a.w.note("agent=%d loses groups %v", a.id, lost)
		a.groupStep(func(c *group.Core, now time.Duration) { c.Lose(now, lost) })
	}
	_, self, _ := a.sess.Session()
	list := append([]api.Broker{{NodeID: self}}, a.brokers()...)
	if alive && (!slices.Equal(list, a.adoptedFor) || a.mono()-a.adopted >= groupAdopting) {
		a.adoptedFor, a.adopted = list, a.mono()
		a.view.State().EachGroup(func(g *state.Group) {
			if len(g.Members()) > 0 && a.mine(g.Name) {
				a.groupStep(func(c *group.Core, now time.Duration) { c.Adopt(now, g.Name) })
			}
		})
	}
}

// commit is one OffsetCommit on its way; answer is nil once it was called.
type commit struct{ answer func(error) }

// commitOffsets is what group.Coordinator.Commit does.
func (a *agent) commitOffsets(k *pb.CommitOffsets, answer func(error)) {
	if !a.coordinates(k.Group) {
		answer(group.ErrNotCoordinator)
		return
	}
	var err error
	a.groupStep(func(c *group.Core, now time.Duration) {
		err = c.Committing(now, k.Group, k.Member, k.InstanceId, k.Generation)
	})
	if err != nil {
		answer(err)
		return
	}
	x := &commit{answer: answer}
	a.commits = append(a.commits, x)
	a.propose(&pb.Command{Base: a.view.State().Position(), Kind: &pb.Command_CommitOffsets{CommitOffsets: k}}, func(o session.Outcome) {
		i := slices.Index(a.commits, x)
		if i < 0 {
			return // answered when the lease may have been over
		}
		a.commits = slices.Delete(a.commits, i, i+1)
		if o.Err != nil {
			answer(o.Err)
			return
		}
		answer(group.Verdict(o.Result.Code))
	})
}

// groupsApplied tells the coordinator of an entry, as group.Coordinator.Applied does.
func (a *agent) groupsApplied(e journal.Entry, body *pb.Entry, res *state.Results) {
	for i := range res.Commands {
		switch k := body.Commands[i].GetKind().(type) {
		case *pb.Command_CreateTopic, *pb.Command_DeleteTopic, *pb.Command_CreatePartitions:
			a.groupStep(func(c *group.Core, _ time.Duration) { c.TopicsChanged() })
		case *pb.Command_UpdateGroup:
			if res.Commands[i].Code == state.OK {
				a.groupStep(func(c *group.Core, now time.Duration) { c.Changed(now, k.UpdateGroup.Group, e.Position) })
			}
		}
	}
}

func (a *agent) groupsReplaced() {
	a.groupStep(func(c *group.Core, now time.Duration) {
		c.TopicsChanged()
		c.Lose(now, c.Names())
	})
}

// groupEffects carries out what the groups' core decides.
type groupEffects agent

func (x *groupEffects) Reply(f func()) { x.groupFx = append(x.groupFx, f) }

func (x *groupEffects) Propose(name string, ticket uint64, u *pb.UpdateGroup) {
	a := (*agent)(x)
	x.groupFx = append(x.groupFx, func() {
		a.propose(&pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: u}}, func(o session.Outcome) {
			out := group.Outcome{Err: o.Err, Position: o.Position}
			if o.Err == nil {
				out.Code = o.Result.Code
			}
			a.groupStep(func(c *group.Core, now time.Duration) { c.Decided(now, name, ticket, out) })
		})
	})
}

func (x *groupEffects) Load(name string, ticket uint64) {
	a := (*agent)(x)
	x.groupFx = append(x.groupFx, func() {
		a.spawn(func() {
			err := a.passWithin(groupLoading)
			a.w.note("agent=%d loads group %s err=%v", a.id, name, err)
			a.w.stats.Takeovers++
			if err != nil {
				err = fmt.Errorf("%w: %w", group.ErrLoading, err)
			}
			a.groupStep(func(c *group.Core, now time.Duration) {
				var s *group.Snapshot
				if err == nil {
					s = snapshotOf(a.view.State(), name)
				}
				c.Loaded(now, name, ticket, s, err)
			})
		})
	})
}

func snapshotOf(s *state.State, name string) *group.Snapshot {
	g := s.Group(name)
	if g == nil {
		return nil
	}
	return &group.Snapshot{
		Version: g.Version, Type: g.Type, State: g.State, ProtocolType: g.ProtocolType, Protocol: g.Protocol, Leader: g.Leader,
		Generation: g.Generation, Members: g.Members(), AssignmentEpoch: g.AssignmentEpoch, MetadataHash: g.MetadataHash,
	}
}

// groupTopics are the topics that an agent's State has.
type groupTopics struct{ a *agent }

func (t groupTopics) Named(name string) (kip848.Topic, bool) {
	x := t.a.view.State().Topic(name)
	if x == nil {
		return kip848.Topic{}, false
	}
	return kip848.Topic{Number: x.Number, Name: name, Partitions: uint32(x.Partitions())}, true
}

func (t groupTopics) Name(number uint64) (string, bool) {
	if x := t.a.view.State().TopicByNumber(number); x != nil {
		return x.Name, true
	}
	return "", false
}

func (t groupTopics) Matching(re *regexp.Regexp) (found []kip848.Topic) {
	t.a.view.State().EachTopic(func(x *state.Topic) {
		if re.MatchString(x.Name) {
			found = append(found, kip848.Topic{Number: x.Number, Name: x.Name, Partitions: uint32(x.Partitions())})
		}
	})
	return found
}
