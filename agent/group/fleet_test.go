package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/metadata/state"
)

// fleet is a random run: members that join, fall silent, leave and come back, agents that lose the group and their
// memory, proposals that are lost. It keeps what every member was told.
type fleet struct {
	*world
	t       *rapid.T
	members []*fleetMember
	at      int // the agent that members go to
	// told is what State's journal had of each generation when somebody heard of it: its members, and who got what.
	rosters map[int32]string
	plans   map[int32]string
	owners  map[string]string // generation and partition -> member id
	highest int32
}

type fleetMember struct {
	classicMember
	alive   bool
	waiting bool // for an answer
	inGroup bool // has an assignment
}

const fleetPartitions = 5

func (f *fleet) start(t *rapid.T) *fleetMember {
	m := &fleetMember{classicMember: *f.classic(), alive: true}
	m.instance = rapid.SampledFrom([]string{"", "", "i", "j"}).Draw(t, "instance")
	m.session = time.Duration(rapid.IntRange(6, 12).Draw(t, "session")) * time.Second
	m.rebalance = time.Duration(rapid.IntRange(5, 30).Draw(t, "rebalance")) * time.Second
	m.protocols = rapid.SampledFrom([][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}).Draw(t, "protocols")
	f.members = append(f.members, m)
	return m
}

// act lets a member do what a client would do next.
func (f *fleet) act(m *fleetMember) {
	m.core = f.cores[f.at]
	switch {
	case !m.alive || m.waiting:
	case !m.inGroup:
		f.joins(m)
	default:
		m.waiting = true
		m.core.Heartbeat(f.now, &Heartbeat{
			Group: "g", Member: m.id, Instance: m.instance, Generation: m.generation, Done: func(err error) {
				m.waiting = false
				f.answer(m, err)
			},
		})
	}
}

func (f *fleet) answer(m *fleetMember, err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrRebalanceInProgress):
		m.inGroup = false
	case errors.Is(err, ErrUnknownMember), errors.Is(err, ErrIllegalGeneration):
		m.inGroup, m.id = false, ""
	case errors.Is(err, ErrFencedInstance):
		m.alive = false // fatal to the client
	}
}

func (f *fleet) joins(m *fleetMember) {
	m.waiting = true
	req := &Join{
		Group: "g", Member: m.id, Instance: m.instance, ClientID: "c", ProtocolType: "consumer", SessionTimeout: m.session,
		RebalanceTimeout: m.rebalance, NeedsKnownID: true, CanSkipAssignment: true,
		Done: func(j Joined) {
			m.waiting = false
			if !m.alive {
				return // nobody is there to hear it
			}
			if errors.Is(j.Err, ErrMemberIDRequired) {
				m.id = j.Member
				return
			}
			if j.Err != nil {
				f.answer(m, j.Err)
				return
			}
			m.id, m.generation = j.Member, j.Generation
			f.heardOfGeneration(m, j)
			f.syncs(m, j)
		},
	}
	for _, p := range m.protocols {
		req.Protocols = append(req.Protocols, Protocol{Name: p, Metadata: []byte(m.instance)})
	}
	m.core.Join(f.now, req)
}

// heardOfGeneration checks that the generation is State and belongs to one roster for ever (I13).
func (f *fleet) heardOfGeneration(m *fleetMember, j Joined) {
	g := f.s.Group("g")
	if g == nil || g.Generation < j.Generation {
		f.t.Fatalf("%s hears of generation %d before State", m.id, j.Generation)
	}
	if g.Generation == j.Generation && g.Member(m.id) == nil {
		f.t.Fatalf("%s is told that it is in generation %d, which has no such member", m.id, j.Generation)
	}
	f.highest = max(f.highest, j.Generation)
	if len(j.Members) == 0 || j.SkipAssignment {
		return
	}
	var ids []string
	for _, x := range j.Members {
		id := x.Instance
		if id == "" {
			id = x.ID
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if was, ok := f.rosters[j.Generation]; ok && was != strings.Join(ids, ",") {
		f.t.Fatalf("generation %d has members %s and %v", j.Generation, was, ids)
	}
	f.rosters[j.Generation] = strings.Join(ids, ",")
}

func (f *fleet) syncs(m *fleetMember, j Joined) {
	m.waiting = true
	req := &Sync{Group: "g", Member: m.id, Instance: m.instance, Generation: j.Generation}
	if len(j.Members) > 0 && !j.SkipAssignment {
		req.Assignments = map[string][]byte{}
		for p := range fleetPartitions {
			id := j.Members[p%len(j.Members)].ID
			req.Assignments[id] = append(req.Assignments[id], byte('0'+p))
		}
	}
	generation := j.Generation
	req.Done = func(s Synced) {
		m.waiting = false
		if !m.alive {
			return
		}
		if s.Err != nil {
			m.inGroup = false
			f.answer(m, s.Err)
			return
		}
		m.inGroup = true
		f.owns(m, generation, s.Assignment)
	}
	m.core.Sync(f.now, req)
}

// owns checks that no partition has two owners in one generation (I13). A static member's successor owns what it did.
func (f *fleet) owns(m *fleetMember, generation int32, partitions []byte) {
	if v := f.s.Group("g"); v.Generation == generation && v.Member(m.id) != nil && string(v.Member(m.id).Assignment) != string(partitions) {
		f.t.Fatalf("%s is told %q, State has %q", m.id, partitions, v.Member(m.id).Assignment)
	}
	who := m.id
	if m.instance != "" {
		who = m.instance
	}
	for _, p := range partitions {
		key := fmt.Sprintf("%d/%c", generation, p)
		if owner, ok := f.owners[key]; ok && owner != who {
			f.t.Fatalf("generation %d gives partition %c to %s and to %s", generation, p, owner, who)
		}
		f.owners[key] = who
	}
}

// lag lets time pass, with heartbeats, and with the look for groups that nobody holds.
func (f *fleet) lag(steps int, settled bool) {
	for range steps {
		f.now += time.Second
		for _, c := range f.cores {
			c.Tick(f.now)
		}
		if settled {
			f.settle()
		}
		if g := f.s.Group("g"); g != nil && len(g.Members()) > 0 && f.now%adoptEvery == 0 {
			f.cores[f.at].Adopt(f.now, "g")
		}
		for _, m := range f.members {
			f.act(m)
		}
		if settled {
			f.settle()
		}
	}
}

// Random runs never give a generation twice nor a partition two owners, and once faults are over, everybody who is alive
// is in one stable generation (I13, fault F21).
func TestFleet(t *testing.T) {
	stable, moved := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f := &fleet{world: newWorld(t, 2), t: t, rosters: map[int32]string{}, plans: map[int32]string{}, owners: map[string]string{}}
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]byte("nnlkkttttttttmsox")).Draw(t, "step") {
			case 'n':
				if len(f.members) < 8 {
					f.start(t)
				}
			case 'l': // leaves
				if m := f.any(t); m != nil && m.id != "" && m.instance == "" && m.alive && !m.waiting {
					m.alive = false
					m.core = f.cores[f.at]
					m.core.Leave(f.now, &Leave{Group: "g", Members: []Leaver{{Member: m.id}}, Done: func(error, []error) {}})
				}
			case 'k': // is killed
				if m := f.any(t); m != nil {
					m.alive = false
				}
			case 'm': // the group moves, the old agent forgets at once
				moved++
				old := f.at
				f.at = 1 - f.at
				f.cores[old].Lose(f.now, f.cores[old].Names())
				f.cores[f.at].Adopt(f.now, "g")
			case 's': // it moves, and the old agent does not know
				moved++
				f.at = 1 - f.at
			case 'o': // a proposal's answer is lost, perhaps the proposal too
				if len(f.journal) > 0 {
					p := f.journal[0]
					f.journal = f.journal[1:]
					if rapid.Bool().Draw(t, "applied") {
						f.apply(p.agent, p.c)
						f.cores[1-p.agent].Changed(f.now, "g", f.pos)
					}
					f.cores[p.agent].Decided(f.now, p.group, p.ticket, Outcome{Err: errors.New("lost")})
				}
			case 'x': // things are slow
				f.lag(1, false)
			default:
				f.lag(rapid.IntRange(1, 8).Draw(t, "seconds"), true)
			}
		}
		f.settle()
		f.lag(200, true)
		stable += f.calm()
	})
	t.Logf("%d runs ended with members, %d moves", stable, moved)
	if stable == 0 || moved == 0 {
		t.Error("nothing was tried")
	}
}

func (f *fleet) any(t *rapid.T) *fleetMember {
	if len(f.members) == 0 {
		return nil
	}
	return rapid.SampledFrom(f.members).Draw(t, "member")
}

// calm checks the end: the alive are the members of one stable generation, and every partition has an owner.
func (f *fleet) calm() int {
	var alive []string
	owned := 0
	g := f.s.Group("g")
	for _, m := range f.members {
		if !m.alive {
			continue
		}
		alive = append(alive, m.id)
		if g == nil || g.Member(m.id) == nil || m.generation != g.Generation || !m.inGroup {
			f.t.Fatalf("%s (%q) is not in the group: %+v, State %+v", m.id, m.instance, m, g)
		}
		owned += len(g.Member(m.id).Assignment)
	}
	switch {
	case len(alive) == 0:
		if g != nil && (g.State != state.GroupEmpty || len(g.Members()) > 0) {
			f.t.Fatalf("nobody is alive, State has %v", g.Members())
		}
		return 0
	case g.State != state.GroupStable || len(g.Members()) != len(alive) || owned != fleetPartitions:
		f.t.Fatalf("alive are %v, State has %v in state %d, %d partitions have an owner", alive, g.Members(), g.State, owned)
	}
	return 1
}
