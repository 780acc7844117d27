package compactor

import (
	"fmt"
	"slices"
	"time"

	"wadi/compactor/job"
	"wadi/internal/layout"
	"wadi/internal/rendezvous"
	"wadi/metadata/lease"
)

// Jobs is a set of jobs, by their index.
type Jobs uint32

// Has reports whether a job is in the set.
func (j Jobs) Has(i int) bool { return j&(1<<i) != 0 }

func (j Jobs) with(i int) Jobs { return j | 1<<i }

// Count is how many jobs are in the set.
func (j Jobs) Count() (n int) {
	for ; j != 0; j &= j - 1 {
		n++
	}
	return n
}

// Pace says how often etcd is asked while something is to change.
type Pace struct {
	Retry    time.Duration // after a request that left something to do; doubled each time ...
	Longest  time.Duration // ... up to this
	LateEnds time.Duration // a request whose answer was lost has had its effect after this, or never has it
}

// DefaultPace is for sessions that live ttl.
func DefaultPace(ttl time.Duration) Pace {
	return Pace{Retry: 250 * time.Millisecond, Longest: 4 * time.Second, LateEnds: 2 * ttl}
}

// Look is what a process sees of the cluster at one moment.
type Look struct {
	Own     layout.Session   // its session that State has open, 0 = none
	Members []layout.Session // live compactors that are to stay, rising
}

// Ask is one request to etcd. At most one of its parts is set; without any there is nothing to do.
type Ask struct {
	Own    layout.Session
	Take   []int       // jobs to take if they are free
	Look   []int       // jobs that may be had after a request whose answer was lost, and are not wanted
	GiveUp *lease.Hold // the job's key is deleted
	Job    int         // of GiveUp
}

// Holding decides which jobs this process should have, takes and gives them up. It has no clock: now is any time that only
// grows. It is stepped from one goroutine.
//
// Who should have a job follows from the list of members alone. What moves to another is not worked on any more from
// that moment on, and its key is deleted; who should have it asks for it until it is free. Nothing is asked while nothing
// changes.
type Holding struct {
	pace Pace
	work []uint64 // per job: its hash

	own     layout.Session
	known   bool // members are of this session
	members []layout.Session
	want    Jobs
	jobs    []holding

	asked  bool
	looked bool          // the last request but GiveUp was a look
	at     time.Duration // not before: the next request
	pause  time.Duration
}

// holding is where a job stands.
type holding struct {
	hold    lease.Hold    // with a revision: the key is ours, as far as is known
	leaving bool          // its key is to be deleted: it is not ours to work on, and not taken again before that is certain
	doubt   bool          // the answer to a request for it was lost: its key may become ours ...
	until   time.Duration // ... up to then
}

// NewHolding makes a Holding of the jobs of these names, in their order.
func NewHolding(pace Pace, names []string) *Holding {
	h := &Holding{pace: pace, jobs: make([]holding, len(names))}
	for i := range names {
		h.work = append(h.work, rendezvous.Mix(uint64(i)))
	}
	return h
}

// Held are the jobs that this process has, as long as its session lives.
func (h *Holding) Held() (held Jobs) {
	for i := range h.jobs {
		if j := &h.jobs[i]; j.hold.Revision != 0 && !j.leaving {
			held = held.with(i)
		}
	}
	return held
}

// Tick returns what to ask etcd for now. After a request Asked must follow before the next one is returned.
func (h *Holding) Tick(now time.Duration, l Look) Ask {
	h.look(now, l)
	if h.own == 0 || h.asked || now < h.at {
		return Ask{}
	}
	ask := h.next(now)
	h.asked = ask.Take != nil || ask.Look != nil || ask.GiveUp != nil
	return ask
}

// look takes in what changed.
func (h *Holding) look(now time.Duration, l Look) {
	if l.Own != h.own {
		// The keys went with the lease. An answer that is still to come is of the session before.
		h.own, h.want, h.known, h.asked = l.Own, 0, false, false
		clear(h.jobs)
		h.at, h.pause = now, 0
	}
	if h.own == 0 || h.known && slices.Equal(l.Members, h.members) {
		return
	}
	h.known, h.members, h.want = true, slices.Clone(l.Members), 0
	for i, w := range h.work {
		if won := rendezvous.Winner(w, h.members); won >= 0 && h.members[won] == h.own {
			h.want = h.want.with(i)
		} else if j := &h.jobs[i]; j.hold.Revision != 0 {
			j.leaving = true
		}
	}
	h.at, h.pause = now, 0
}

// next finds what is to be asked for: first what others wait for.
func (h *Holding) next(now time.Duration) Ask {
	ask := Ask{Own: h.own}
	var take, look []int
	for i := range h.jobs {
		j := &h.jobs[i]
		if j.leaving {
			hold := j.hold
			ask.GiveUp, ask.Job = &hold, i
			return ask
		}
		switch {
		case h.want.Has(i) && j.hold.Revision == 0:
			take = append(take, i)
		case j.doubt:
			look = append(look, i)
		}
	}
	// In turns, as another may wait for what this one does not know to have.
	if h.looked = look != nil && !h.looked; !h.looked {
		ask.Take = take
	}
	if ask.Take != nil {
		return ask
	}
	for _, i := range look {
		if j := &h.jobs[i]; now >= j.until {
			j.doubt = false // this look is the last
		}
	}
	ask.Look = look
	return ask
}

// Asked takes the answer to a request: a Hold for each job of Take or Look. An error leaves its effect unknown.
func (h *Holding) Asked(now time.Duration, ask Ask, holds []lease.Hold, err error) {
	if ask.Own != h.own || !h.asked {
		return
	}
	h.asked = false
	if ask.GiveUp != nil {
		if err == nil {
			h.jobs[ask.Job].hold, h.jobs[ask.Job].leaving = lease.Hold{}, false
		}
		h.rest(now, err != nil)
		return
	}
	for k, i := range append(ask.Take[:len(ask.Take):len(ask.Take)], ask.Look...) {
		j := &h.jobs[i]
		if err != nil {
			j.doubt, j.until = true, now+h.pace.LateEnds
			continue
		}
		j.hold = holds[k]
		j.leaving = j.hold.Revision != 0 && !h.want.Has(i)
	}
	h.rest(now, true)
}

// rest waits before the next request, the longer the more of them changed nothing.
func (h *Holding) rest(now time.Duration, again bool) {
	h.at = now
	if !again {
		h.pause = 0
		return
	}
	h.pause = max(h.pace.Retry, min(2*h.pause, h.pace.Longest))
	h.at = now + h.pause
}

// gcJob is the index of the job of the garbage; those below it are the shards.
const gcJob = job.Shards

// jobNames are the names of the job leases, by index.
func jobNames() []string {
	names := make([]string, 0, job.Shards+1)
	for i := range job.Shards {
		names = append(names, fmt.Sprintf("compact-%02d", i))
	}
	return append(names, "gc")
}
