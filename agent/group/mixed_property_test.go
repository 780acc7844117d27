package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	kip848 "wadi/agent/group/consumer"
	pb "wadi/metadata/metadatapb"
)

// process is a consumer of one of the two protocols, as its application sees it: what it works on.
type process struct {
	f        *mixture
	old      bool // the classic protocol, in its eager way
	id       string
	instance string
	epoch    int32 // or generation
	in       bool  // classic: it has synced
	planned  int   // classic: how many partitions there were when it led, 0 = it does not lead
	waits    bool  // for an answer
	gone     bool
	works    []string
}

// mixture is a group of such processes, that start, stop and change their protocol, and two agents that lose it to each
// other.
type mixture struct {
	*world
	t         *rapid.T
	at        int
	starts    int
	later     []func() // requests that answers lead to: who answers takes none meanwhile
	processes map[string]*process
}

func (f *mixture) start(name string, old bool) *process {
	f.starts++
	p := &process{f: f, old: old, epoch: -1}
	if len(name) > 2 {
		p.instance = name
	}
	if !old {
		p.id, p.epoch = fmt.Sprintf("%s-%d", name, f.starts), kip848.JoinEpoch
	}
	f.processes[name] = p
	return p
}

func (p *process) step() {
	switch {
	case p.waits:
	case !p.old:
		p.beat()
	case p.in && p.planned > 0 && p.planned < p.f.s.Topic("t").Partitions():
		p.join() // a leader looks after topics
	case p.in:
		p.oldBeat()
	default:
		p.join()
	}
	p.f.quiesce()
}

// quiesce lets everything through that is under way.
func (f *mixture) quiesce() {
	for f.settle(); len(f.later) > 0; f.settle() {
		next := f.later[0]
		f.later = f.later[1:]
		next()
	}
}

// again is what a process does that is told to begin anew.
func (p *process) again() {
	p.works, p.in = nil, false
	if p.epoch = -1; !p.old {
		p.epoch = kip848.JoinEpoch
	} else {
		p.id = ""
	}
}

func (p *process) beat() {
	owned := map[uint64][]uint32{}
	for _, s := range p.works {
		var topic uint64
		var n uint32
		_, err := fmt.Sscanf(s, "%d/%d", &topic, &n)
		require.NoError(p.f.t, err)
		owned[topic] = append(owned[topic], n)
	}
	set := kip848.SetOf(owned)
	p.waits = true
	p.f.cores[p.f.at].ConsumerHeartbeat(p.f.now, &ConsumerHeartbeat{Group: "g", Heartbeat: kip848.Heartbeat{
		Member: p.id, Instance: p.instance, Epoch: p.epoch, RebalanceTimeoutMs: 1 << 30, Topics: []string{"t"}, HasTopics: true, Owned: &set,
	}, Done: func(a ConsumerAnswer) {
		p.waits = false
		switch err := a.Err; {
		case p.gone, errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrLoading), errors.Is(err, kip848.ErrUnreleased):
		case errors.Is(err, kip848.ErrFencedInstance):
			p.end()
		case err != nil:
			p.again()
		default:
			p.epoch = a.Epoch
			if a.Assignment != nil {
				p.works = strings.Fields(slots(*a.Assignment))
			}
		}
	}})
}

func (p *process) join() {
	p.works, p.waits = nil, true
	words := kmsg.NewConsumerMemberMetadata()
	words.Version, words.Topics = 1, []string{"t"}
	p.f.cores[p.f.at].Join(p.f.now, &Join{
		Group: "g", Member: p.id, Instance: p.instance, ClientID: "c", ProtocolType: consumerType,
		Protocols:      []Protocol{{Name: "range", Metadata: words.AppendTo(nil)}},
		SessionTimeout: 10 * time.Minute, RebalanceTimeout: 30 * time.Minute, NeedsKnownID: true, CanSkipAssignment: true,
		Done: func(j Joined) {
			p.waits = false
			switch {
			case p.gone:
			case errors.Is(j.Err, ErrMemberIDRequired):
				p.id = j.Member
			case errors.Is(j.Err, ErrFencedInstance):
				p.end()
			case errors.Is(j.Err, ErrUnknownMember):
				p.again()
			case j.Err == nil:
				p.id, p.epoch = j.Member, j.Generation
				p.waits = true
				p.f.later = append(p.f.later, func() { p.sync(j) })
			}
		},
	})
}

func (p *process) sync(j Joined) {
	if p.gone {
		return
	}
	req := &Sync{Group: "g", Member: p.id, Instance: p.instance, Generation: p.epoch}
	if p.planned = 0; len(j.Members) > 0 {
		p.planned = p.f.s.Topic("t").Partitions()
	}
	if j.SkipAssignment {
		p.planned = 1 // it does not know
	}
	if len(j.Members) > 0 && !j.SkipAssignment {
		req.Assignments = map[string][]byte{}
		x := p.f.s.Topic("t")
		for i, m := range j.Members {
			words, t := kmsg.NewConsumerMemberAssignment(), kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic = "t"
			for n := range int32(x.Partitions()) {
				if int(n)%len(j.Members) == i {
					t.Partitions = append(t.Partitions, n)
				}
			}
			words.Topics = append(words.Topics, t)
			req.Assignments[m.ID] = words.AppendTo(nil)
		}
	}
	req.Done = func(s Synced) {
		p.waits = false
		if p.gone || s.Err != nil {
			p.failed(s.Err)
			return
		}
		var words kmsg.ConsumerMemberAssignment
		if len(s.Assignment) > 0 {
			require.NoError(p.f.t, words.ReadFrom(s.Assignment))
		}
		p.in, p.works = true, nil
		for _, t := range words.Topics {
			for _, n := range t.Partitions {
				p.works = append(p.works, fmt.Sprintf("%d/%d", p.f.s.Topic(t.Topic).Number, n))
			}
		}
	}
	p.f.cores[p.f.at].Sync(p.f.now, req)
}

func (p *process) oldBeat() {
	p.waits = true
	p.f.cores[p.f.at].Heartbeat(p.f.now, &Heartbeat{
		Group: "g", Member: p.id, Instance: p.instance, Generation: p.epoch, Done: func(err error) { p.waits = false; p.failed(err) },
	})
}

func (p *process) failed(err error) {
	switch {
	case p.gone:
	case errors.Is(err, ErrRebalanceInProgress):
		p.in = false
	case errors.Is(err, ErrFencedInstance):
		p.end()
	case errors.Is(err, ErrUnknownMember):
		p.again()
	case errors.Is(err, ErrIllegalGeneration):
		p.in, p.works = false, nil
	}
}

func (p *process) end() { p.gone, p.works = true, nil }

// stop ends a process that says so. A static one of the classic protocol does not.
func (p *process) stop() {
	p.end()
	core := p.f.cores[p.f.at]
	switch {
	case !p.old:
		h := kip848.Heartbeat{Member: p.id, Instance: p.instance, Epoch: kip848.LeaveEpoch, RebalanceTimeoutMs: -1}
		if p.instance != "" {
			h.Epoch = kip848.StaticLeaveEpoch
		}
		core.ConsumerHeartbeat(p.f.now, &ConsumerHeartbeat{Group: "g", Heartbeat: h, Done: func(ConsumerAnswer) {}})
	case p.instance == "" && p.id != "":
		core.Leave(p.f.now, &Leave{Group: "g", Members: []Leaver{{Member: p.id}}, Done: func(error, []error) {}})
	}
	p.f.quiesce()
}

func (f *mixture) check() {
	owner := map[string]string{}
	for name, p := range f.processes {
		for _, s := range p.works {
			if owner[s] != "" {
				f.t.Fatalf("%s is worked on by %s and %s", s, owner[s], name)
			}
			owner[s] = name
		}
	}
}

// Any order of processes of both protocols that come, go, and come back with the other: no partition is worked on by two, and
// when it calms down each by one.
func TestMixtures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := &stateTopics{}
		w := newWorld(t, 2, func(c *Config) {
			c.MaxConsumers, c.Topics = 100, topics
			c.Consumers = func(string) ConsumerSettings { return ConsumerSettings{Session: time.Hour, Interval: time.Second} }
		})
		topics.w = w
		w.apply(0, &pb.Command{Kind: &pb.Command_CreateTopic{CreateTopic: &pb.CreateTopic{Name: "t", Partitions: 4}}})
		f := &mixture{world: w, t: t, processes: map[string]*process{}}
		names := []string{"m", "mm", "mmm", "mmmm"}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			p := f.processes[name]
			switch event := rapid.IntRange(0, 11).Draw(t, "event"); {
			case p == nil || p.gone:
				p = f.start(name, rapid.Bool().Draw(t, "old"))
				p.step()
			case event == 0:
				p.stop()
			case event == 1:
				f.cores[f.at].Lose(f.now, []string{"g"})
				f.at = 1 - f.at
				f.quiesce()
			case event == 2:
				w.pass(time.Duration(rapid.IntRange(1, 4).Draw(t, "seconds")) * time.Second)
				f.quiesce()
			case event == 3 && rapid.Bool().Draw(t, "grow"):
				w.apply(0, &pb.Command{Base: w.pos, Kind: &pb.Command_CreatePartitions{CreatePartitions: &pb.CreatePartitions{
					Topic: w.s.Topic("t").Number, Count: uint32(w.s.Topic("t").Partitions() + 1),
				}}})
				for _, c := range w.cores {
					c.TopicsChanged()
				}
			default:
				p.step()
			}
			f.check()
		}
		for _, name := range names {
			if p := f.processes[name]; p != nil && p.gone && p.instance != "" {
				f.start(name, p.old) // it may be a member still, and is to come back
			}
		}
		// Who left during a rebalance that a coordinator did not live to end is a member until its session ends.
		live := 0
		for round := range 30 {
			live = 0
			for _, name := range names {
				if p := f.processes[name]; p != nil && !p.gone {
					if round == 18 && p.old {
						// In a group that went back to the classic protocol without a rebalance no client knows that it is to
						// look after topics, until the next one. That is Kafka's way.
						p.in = false
					}
					p.step()
					f.check()
					live++
				}
			}
			if w.pass(time.Second); round < 14 {
				w.pass(time.Minute)
			}
			f.quiesce()
			f.check()
		}
		var all, want []string
		for _, p := range f.processes {
			all = append(all, p.works...)
		}
		if live > 0 {
			for n := range w.s.Topic("t").Partitions() {
				want = append(want, fmt.Sprintf("%d/%d", w.s.Topic("t").Number, n))
			}
		}
		slices.Sort(all)
		slices.Sort(want)
		require.Equal(t, want, all)
	})
}
