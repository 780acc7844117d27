package agent

import (
	"slices"
	"sync"
	"time"

	"wadi/agent/api"
	"wadi/agent/tenure"
)

// routing says what this agent coordinates by the list of brokers that clients get. The list is kept for a moment, as it
// is asked for with every heartbeat, every commit and every step of a transaction.
type routing struct {
	self    func() (node int32, open bool)
	members func() []api.Broker // sorted by node id

	mu struct {
		sync.Mutex
		at      time.Time
		self    int32
		brokers []api.Broker
		epoch   uint64
	}
}

func newRouting(s tenure.Session, m *members) *routing {
	return &routing{
		self: func() (node int32, open bool) {
			_, node, open = s.Current()
			return node, open
		},
		members: func() []api.Broker { return m.Brokers(0) },
	}
}

// A list is good for routingAge. Before a client is sent away it is made anew: an agent that has just become ready
// coordinates at once.
const routingAge = 20 * time.Millisecond

// ask shows the list, and a new one when the answer to it was no.
func (r *routing) ask(good func(self int32, brokers []api.Broker) bool) {
	for _, age := range []time.Duration{routingAge, 0} {
		self, brokers, _ := r.list(age)
		if good(self, brokers) {
			return
		}
	}
}

// once is a new list, for who asks for thousands of names and sends nobody away: one made for each of those that are
// another agent's would cost more than all the rest.
func (r *routing) once() (self int32, brokers []api.Broker) {
	self, brokers, _ = r.list(0)
	return self, brokers
}

func (r *routing) list(age time.Duration) (self int32, brokers []api.Broker, epoch uint64) {
	r.mu.Lock()
	if time.Since(r.mu.at) < age {
		defer r.mu.Unlock()
		return r.mu.self, r.mu.brokers, r.mu.epoch
	}
	r.mu.Unlock()
	// Made without the lock: the list takes others.
	self, open := r.self()
	if !open {
		self = -1
	}
	brokers = r.members()
	r.mu.Lock()
	defer r.mu.Unlock()
	same := func(a, b api.Broker) bool { return a.NodeID == b.NodeID }
	if self != r.mu.self || r.mu.epoch == 0 || !slices.EqualFunc(brokers, r.mu.brokers, same) {
		r.mu.epoch++
	}
	r.mu.at, r.mu.self, r.mu.brokers = time.Now(), self, brokers
	return self, brokers, r.mu.epoch
}
