package compactor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/metadata/lease"
)

const testTTL = 5 * time.Second

// cluster is some processes and an etcd between them, with every answer and every list of members under the test's
// control.
type cluster struct {
	now   time.Duration
	names []string
	procs []*process
	rev   int64
	keys  map[string]key
	late  []lateTxn
	asked int // requests so far
}

type key struct {
	lease    layout.Session
	revision int64
}

// lateTxn is a transaction whose sender has given it up.
type lateTxn struct {
	by  layout.Session
	ask Ask
	at  time.Duration
}

type process struct {
	h       *Holding
	session layout.Session // 0 = dead
	list    []layout.Session
	pending *Ask
}

func newCluster(n int) *cluster {
	c := &cluster{keys: map[string]key{}}
	c.names = jobNames()
	for range n {
		c.start(c.add())
	}
	return c
}

func (c *cluster) add() *process {
	p := &process{h: NewHolding(DefaultPace(testTTL), c.names)}
	c.procs = append(c.procs, p)
	return p
}

// start gives a process a session.
func (c *cluster) start(p *process) {
	c.rev++
	p.session, p.list = layout.Session(c.rev), nil
}

// kill ends a process' session, and its keys with it.
func (c *cluster) kill(p *process) {
	for name, k := range c.keys {
		if k.lease == p.session {
			delete(c.keys, name)
		}
	}
	p.session, p.pending = 0, nil
}

func (c *cluster) live() (all []layout.Session) {
	for _, p := range c.procs {
		if p.session != 0 {
			all = append(all, p.session)
		}
	}
	slices.Sort(all)
	return all
}

// carry has the effect of a request and makes its answer.
func (c *cluster) carry(by layout.Session, ask Ask) (holds []lease.Hold) {
	if ask.GiveUp != nil {
		if c.keys[ask.GiveUp.Key].revision == ask.GiveUp.Revision {
			delete(c.keys, ask.GiveUp.Key)
		}
		return nil
	}
	alive := slices.Contains(c.live(), by)
	for _, i := range append(slices.Clone(ask.Take), ask.Look...) {
		name := c.names[i]
		if _, held := c.keys[name]; !held && ask.Take != nil && alive {
			c.rev++
			c.keys[name] = key{by, c.rev}
		}
		hold := lease.Hold{Key: name}
		if k := c.keys[name]; k.lease == by {
			hold.Revision = k.revision
		}
		holds = append(holds, hold)
	}
	return holds
}

// tick lets time pass for all.
func (c *cluster) tick(d time.Duration) {
	c.now += d
	c.late = slices.DeleteFunc(c.late, func(l lateTxn) bool {
		if l.at > c.now {
			return false
		}
		c.carry(l.by, l.ask)
		return true
	})
	for _, p := range c.procs {
		ask := p.h.Tick(c.now, Look{Own: p.session, Members: p.list})
		if ask.Take != nil || ask.Look != nil || ask.GiveUp != nil {
			c.asked++
			p.pending = &ask
		}
	}
}

var errLost = errors.New("no answer")

// answer ends the request of a process: its answer may be lost, before or after its effect, or long before it.
func (c *cluster) answer(p *process, fate string) {
	if p.pending == nil {
		return
	}
	ask := *p.pending
	p.pending = nil
	switch fate {
	case "before":
		p.h.Asked(c.now, ask, nil, errLost)
	case "after":
		c.carry(p.session, ask)
		p.h.Asked(c.now, ask, nil, errLost)
	case "late":
		c.late = append(c.late, lateTxn{p.session, ask, c.now + testTTL})
		p.h.Asked(c.now, ask, nil, errLost)
	default:
		p.h.Asked(c.now, ask, c.carry(p.session, ask), nil)
	}
}

// has is what a process believes to have: what it knows of a session before does not count.
func (p *process) has() Jobs {
	if p.session == 0 || p.session != p.h.own {
		return 0
	}
	return p.h.Held()
}

// both is a job that two hold, -1 = none.
func (c *cluster) both() int {
	var all Jobs
	for _, p := range c.procs {
		held := p.has()
		for i := range c.names {
			if all.Has(i) && held.Has(i) {
				return i
			}
		}
		all |= held
	}
	return -1
}

func (c *cluster) held() (all Jobs) {
	for _, p := range c.procs {
		all |= p.has()
	}
	return all
}

// settle lets everybody see everybody and every request be answered, until nobody has anything to ask.
func (c *cluster) settle(limit time.Duration) error {
	for end, quiet := c.now+limit, 0; quiet < 50; {
		if c.now > end {
			return fmt.Errorf("not settled: %017b held, %d late, %d asked", c.held(), len(c.late), c.asked)
		}
		before := c.asked
		for _, p := range c.procs {
			if p.session != 0 {
				p.list = c.live()
			}
		}
		c.tick(100 * time.Millisecond)
		for _, p := range c.procs {
			c.answer(p, "well")
		}
		if quiet++; c.asked != before || len(c.late) > 0 {
			quiet = 0
		}
	}
	return nil
}

// Three processes share all jobs; when one dies the others have what it had, and what they had already stays. Nothing is
// asked of etcd while nothing changes.
func TestShare(t *testing.T) {
	c := newCluster(3)
	every := Jobs(1)<<len(c.names) - 1
	require.NoError(t, c.settle(10*time.Second))
	require.Equal(t, every, c.held())
	for i, p := range c.procs {
		require.GreaterOrEqual(t, p.has().Count(), 2, "process %d", i)
	}
	asked := c.asked
	for range 10_000 {
		c.tick(time.Second)
	}
	require.Equal(t, asked, c.asked, "requests while nothing changes")

	before := []Jobs{c.procs[0].has(), 0, c.procs[2].has()}
	c.kill(c.procs[1])
	died := c.now
	require.NoError(t, c.settle(10*time.Second))
	require.Equal(t, every, c.held())
	require.Less(t, c.now-died, testTTL+10*time.Second)
	require.Equal(t, before[0], before[0]&c.procs[0].has())
	require.Equal(t, before[2], before[2]&c.procs[2].has())

	c.start(c.procs[1])
	require.NoError(t, c.settle(10*time.Second))
	require.Equal(t, every, c.held())
	require.NotZero(t, c.procs[1].has())
	require.Equal(t, -1, c.both())
}

// One that drains is not among the members: it gives everything up, and gets nothing.
func TestDraining(t *testing.T) {
	c := newCluster(2)
	require.NoError(t, c.settle(10*time.Second))
	stays := []layout.Session{c.procs[1].session}
	for range 100 {
		c.procs[0].list, c.procs[1].list = stays, stays
		c.tick(100 * time.Millisecond)
		c.answer(c.procs[0], "well")
		c.answer(c.procs[1], "well")
	}
	require.Zero(t, c.procs[0].has())
	require.Equal(t, len(c.names), c.procs[1].has().Count())
}

// Whatever the order of events, whichever answers are lost or lists are old: no two processes believe to have the same
// job, and once faults stop every job is had by one, and silence follows.
func TestNeverTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(3)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			p := rapid.SampledFrom(c.procs).Draw(t, "process")
			switch rapid.IntRange(0, 9).Draw(t, "event") {
			case 0, 1, 2:
				c.tick(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			case 3, 4, 5:
				c.answer(p, rapid.SampledFrom([]string{"well", "well", "well", "before", "after", "late"}).Draw(t, "fate"))
			case 6, 7:
				if p.session != 0 { // its list may lack some, or hold some that are gone
					p.list = slices.DeleteFunc(c.live(), func(layout.Session) bool { return rapid.IntRange(0, 3).Draw(t, "lacks") == 0 })
				}
			case 8:
				if rapid.IntRange(0, 2).Draw(t, "dies") == 0 && len(c.live()) > 1 {
					c.kill(p)
				}
			case 9:
				if p.session == 0 {
					c.start(p)
				}
			}
			if i := c.both(); i >= 0 {
				t.Fatalf("two have %s", c.names[i])
			}
		}
		if len(c.live()) == 0 {
			c.start(c.procs[0])
		}
		if err := c.settle(time.Minute); err != nil {
			t.Fatal(err)
		}
		if i := c.both(); i >= 0 || c.held().Count() != len(c.names) {
			t.Fatalf("after all: two have %d, held %b", i, c.held())
		}
	})
}
