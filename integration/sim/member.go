package sim

import (
	"errors"
	"fmt"
	"time"

	"wadi/agent/group"
	kip848 "wadi/agent/group/consumer"
)

const memberTimeout = 700 * time.Millisecond // of requests that need not wait for other members

// consumers is a group as those know it who start its members.
type consumers struct {
	w       *World
	name    string
	modern  bool // KIP-848
	topics  []string
	members []*member
	planned map[int32]int // classic: how many partitions the leader of a generation gave out
}

// member is one consumer process after the other, with its Kafka client.
type member struct {
	*consumers
	n        int
	life     int // counts its processes
	alive    bool
	paused   bool
	backlog  []func()
	arrives  time.Duration // of the request before
	instance string        // KIP-345, "" = dynamic

	coordinator *agent // nil = to be asked for
	id          string
	busy        bool // joins, syncs and heartbeats: one at a time
	committing  bool
	fetching    bool
	owned       []slot
	positions   map[slot]*position

	session, rebalance time.Duration

	// classic
	generation int32
	inGroup    bool
	leads      bool

	teller  *teller // of one that copies
	reading bool

	// modern
	epoch       int32
	full        bool // the next heartbeat says everything
	said        []slot
	target      []slot
	reconciling bool
	slow        bool
}

type slot struct {
	topic     uint64
	partition uint32
}

func compareSlots(a, b slot) int {
	if a.topic != b.topic {
		return int(int64(a.topic) - int64(b.topic))
	}
	return int(a.partition) - int(b.partition)
}

// startGroups makes groups of both protocols.
func (w *World) startGroups() {
	modern := []bool{false, true, w.chance(0.5)}
	for i, modern := range modern {
		g := &consumers{w: w, name: fmt.Sprintf("group-%d", i), modern: modern, topics: []string{"orders"}, planned: map[int32]int{}}
		if modern && w.chance(0.4) {
			g.topics = append(g.topics, "scrap")
		}
		w.groups = append(w.groups, g)
		for n := range 1 + w.rng.IntN(5) {
			m := &member{
				consumers: g, n: n, rebalance: w.between(2*time.Second, 4*time.Second),
				session: w.between(2500*time.Millisecond, 5*time.Second), slow: w.chance(0.3),
			}
			if w.chance(0.3) {
				m.instance = fmt.Sprintf("instance-%d-%d", i, n)
			}
			g.members = append(g.members, m)
			w.after(w.between(0, 1500*time.Millisecond), m.start)
			m.planFates()
		}
	}
}

// start is a new process of the member.
func (m *member) start() {
	if m.alive {
		return
	}
	w := m.w
	m.life++
	m.alive, m.paused, m.backlog = true, false, nil
	m.coordinator, m.id, m.busy, m.committing, m.fetching = nil, "", false, false, false
	m.generation, m.inGroup, m.leads = -1, false, false
	m.epoch, m.full, m.said, m.target, m.reconciling = 0, true, nil, nil, false
	m.forget()
	if m.modern {
		w.ids++
		m.id = fmt.Sprintf("member-%d", w.ids)
	}
	w.note("member=%s/%d starts id=%q", m.name, m.n, m.id)
	m.reading = false
	if m.teller != nil {
		m.teller.start()
	}
	m.tick(m.life)
}

// planFates lets the member die, pause and leave while faults happen.
func (m *member) planFates() {
	w := m.w
	for at := w.between(time.Second, 9*time.Second); at < w.opts.Active; at += w.between(time.Second, 9*time.Second) {
		w.after(at, func() {
			if !m.alive || m.paused || w.now >= w.opts.Active {
				return
			}
			switch w.rng.IntN(4) {
			case 0:
				m.end("crashes")
				m.startLater()
			case 1:
				m.paused = true
				if p := m.worker(); p != nil {
					p.paused = true
				}
				w.note("member=%s/%d pauses", m.name, m.n)
				w.after(w.between(200*time.Millisecond, 2*m.session), m.resume)
			case 2:
				if m.id != "" && m.coordinator != nil {
					m.leave()
				}
				m.end("leaves")
				m.startLater()
			}
			w.stats.Fates++
		})
	}
}

func (m *member) startLater() {
	if m.w.chance(0.9) {
		m.w.after(m.w.between(0, 4*time.Second), m.start)
	}
}

// end is the end of the process: nobody hears what is still said to it.
func (m *member) end(how string) {
	m.w.note("member=%s/%d %s id=%q", m.name, m.n, how, m.id)
	m.alive, m.paused, m.backlog = false, false, nil
	m.life++
	m.forget()
	if p := m.worker(); p != nil {
		p.end(how)
	}
}

func (m *member) resume() {
	if !m.paused {
		return
	}
	m.paused = false
	m.w.note("member=%s/%d resumes", m.name, m.n)
	backlog := m.backlog
	m.backlog = nil
	life := m.life
	if p := m.worker(); p != nil && m.w.chance(0.5) {
		p.wake()
	} else if p != nil {
		defer p.wake() // its member has heard first what has become of it
	}
	for _, f := range backlog {
		if life == m.life {
			f()
		}
	}
}

// deliver runs f in the process of that life.
func (m *member) deliver(life int, f func()) {
	switch {
	case !m.alive || life != m.life:
	case m.paused:
		m.backlog = append(m.backlog, f)
	default:
		f()
	}
}

func (m *member) after(d time.Duration, f func()) {
	life := m.life
	m.w.after(d, func() { m.deliver(life, f) })
}

// tick is the client's clock.
func (m *member) tick(life int) {
	m.after(m.w.between(modernInterval*3/4, modernInterval), func() { m.tick(life) })
	m.step()
	m.work()
}

// step does what the client does next, unless it waits for an answer.
func (m *member) step() {
	switch {
	case m.busy:
	case m.coordinator == nil:
		m.find()
	case m.modern:
		m.heartbeat()
	case !m.inGroup:
		m.join()
	default:
		m.classicHeartbeat()
	}
}

// retry goes on after a moment.
func (m *member) retry() {
	m.after(m.w.between(20*time.Millisecond, 150*time.Millisecond), m.step)
}

// call sends a request. Exactly one of what serve has reply run, and lost, happens, while the process lives.
func (m *member) call(a *agent, limit time.Duration, serve func(reply func(f func())), lost func()) {
	w, life, process := m.w, m.life, a.life
	ended := false
	end := func(f func()) {
		m.deliver(life, func() {
			if !ended {
				ended = true
				f()
			}
		})
	}
	w.after(limit, func() { end(lost) })
	m.arrives = max(m.arrives, w.now+w.latency())
	w.after(m.arrives-w.now, func() {
		switch {
		case !a.up || a.life != process: // connection refused, or reset
			w.after(w.latency(), func() { end(lost) })
			return
		case w.chance(w.faults.replyLost):
			return
		}
		a.deliver(func() {
			if ended {
				return // the connection was closed
			}
			serve(func(f func()) {
				if !w.chance(w.faults.replyLost) {
					w.after(w.latency(), func() { end(f) })
				}
			})
		})
	})
}

// find asks any agent for the coordinator.
func (m *member) find() {
	a := m.w.anyAgent()
	m.busy = true
	m.call(a, memberTimeout, func(reply func(func())) {
		found := a.coordinatorOf(m.name)
		reply(func() {
			m.busy = false
			if m.coordinator = found; found == nil {
				m.retry()
				return
			}
			m.step()
		})
	}, m.lost)
}

// lost is what a client does that got no answer: it asks for the coordinator again.
func (m *member) lost() {
	m.busy, m.coordinator, m.full = false, nil, true
	m.retry()
}

// elsewhere takes errors that send the client to another agent.
func (m *member) elsewhere(err error) bool {
	if errors.Is(err, group.ErrNotCoordinator) || errors.Is(err, group.ErrLoading) {
		m.coordinator, m.full = nil, true
		m.retry()
		return true
	}
	return false
}

// leave says so and does not wait for the answer.
func (m *member) leave() {
	a, id, instance := m.coordinator, m.id, m.instance
	m.call(a, memberTimeout, func(func(func())) {
		if !a.coordinates(m.name) {
			return
		}
		a.groupStep(func(c *group.Core, now time.Duration) {
			if m.modern {
				h := kip848.Heartbeat{Member: id, Instance: instance, Epoch: kip848.LeaveEpoch, RebalanceTimeoutMs: -1}
				if instance != "" {
					h.Epoch = kip848.StaticLeaveEpoch
				}
				c.ConsumerHeartbeat(now, &group.ConsumerHeartbeat{Group: m.name, Heartbeat: h, Done: func(group.ConsumerAnswer) {}})
				return
			}
			c.Leave(now, &group.Leave{Group: m.name, Members: []group.Leaver{{Member: id, Instance: instance}}, Done: func(error, []error) {}})
		})
	}, func() {})
}
