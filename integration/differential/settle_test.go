package differential

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Apache Kafka answers a change of topics or configs when its controller has it. The broker learns of it a moment later, one
// of its components after the other, and the group coordinator last: whoever asks at once may hear what was before. Wadi's
// answer means that the change is in force. So that this moment makes no differences, Kafka, and Kafka alone, is given the
// time to settle before the first request behind a change.
//
// The broker publishes changes to its components in the order of the metadata log, each to all of them before the next,
// though neighbours may go together. A marker is one more change, of a resource that nobody uses. When a second marker is
// seen that was set after the first was seen, all components have been handed what came before the first; what they do with
// it later lies in the same queues as the requests that follow.

// changes are the keys of requests that change what a broker learns through the metadata log: CreateTopics, DeleteTopics,
// AlterConfigs, CreatePartitions, IncrementalAlterConfigs.
var changes = []int16{19, 20, 33, 37, 44}

// settling sets markers for all conversations with one broker.
type settling struct {
	started atomic.Int64 // pairs of markers
	mu      struct {
		sync.Mutex
		script *Script // its own connection
		number int     // of the last marker
	}
}

func newSettling(b *broker) *settling {
	g := &settling{}
	g.mu.script = &Script{broker: b, names: newNaming(b)}
	return g
}

// late are the requests to the component that learns of new topics last: ConsumerGroupHeartbeat, ConsumerGroupDescribe.
var late = []int16{68, 69}

// controlled are requests that the controller answers: ElectLeaders, AlterPartitionAssignments, ListPartitionReassignments.
// It needs no time for what it did itself.
var controlled = []int16{43, 45, 46}

// lag is what a conversation did that the broker may not have learned of.
type lag int

const (
	settled lag = iota
	created     // topics, which are served already (see Script.await)
	changed     // anything
)

// behind prepares for a request: it notes that it may change what a broker learns later, or lets the broker learn what this
// conversation changed before.
func (s *Script) behind(req kmsg.Request) {
	switch key := req.Key(); {
	case slices.Contains(changes, key):
		s.lag = changed
	case s.broker.settling == nil, slices.Contains(controlled, key):
	case s.lag == changed, s.lag == created && slices.Contains(late, key):
		s.lag = settled
		if err := s.broker.settling.wait(); err != nil {
			s.fail("the broker does not learn of a change: %w", err)
		}
	}
}

// wait returns when the broker has learned of all changes that were answered before.
func (g *settling) wait() error {
	seen := g.started.Load()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.started.Load() > seen {
		return nil // another conversation's pair began after this one's change, and is done
	}
	g.started.Add(1)
	return g.mu.script.run(func(s *Script) {
		for range 2 {
			g.mu.number++
			s.marker(strconv.Itoa(100 + g.mu.number))
		}
	})
}

// marker sets a config that nobody uses and waits until the broker's components have it.
func (s *Script) marker(value string) {
	const name, config = "settle", "interval.ms" // 100 is the least interval
	set := s.must(1, alter(ofMetrics, name, config+"="+value)).(*kmsg.IncrementalAlterConfigsResponse)
	if code := set.Resources[0].ErrorCode; code != 0 {
		s.fail("set a marker: error %d", code)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		got := s.must(4, describe(ofMetrics, name, config)).(*kmsg.DescribeConfigsResponse).Resources[0]
		if len(got.Configs) == 1 && got.Configs[0].Value != nil && *got.Configs[0].Value == value {
			return
		}
		if time.Now().After(deadline) {
			s.fail("marker %s is not seen after %v", value, patience)
		}
	}
}

// attempts at a conversation with Apache Kafka that shows a difference nobody explained. Kafka is asked again, from the start
// and with names of its own, and compared with what Wadi said the one time that it was asked. So what Kafka answers only
// while something within it is on its way makes no difference, and what Wadi answers only sometimes remains one.
const attempts = 3

// prefixOf is what the names of a run begin with.
func prefixOf(key int16, c Case, version int16, attempt int) string {
	p := fmt.Sprintf("%d-%s-v%d", key, slug(c.Name), version)
	if attempt > 0 {
		p += fmt.Sprintf("-again%d", attempt)
	}
	return p
}
