package differential

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Apache Kafka answers a change of topics or configs when its controller has it. The broker learns of it a moment later, one
// of its components after the other, and the group coordinator last: whoever asks at once may hear what was before. Wadi's
// answer means that the change is in force. So that this moment makes no differences, Kafka, and Kafka alone, is given the
// time to settle (Broker.Settle of package kafka) before the first request behind a change.

// changes are the keys of requests that change what a broker learns through the metadata log: CreateTopics, DeleteTopics,
// AlterConfigs, CreatePartitions, IncrementalAlterConfigs.
var changes = []int16{19, 20, 33, 37, 44}

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
	case s.broker.settle == nil, slices.Contains(controlled, key):
	case s.lag == changed, s.lag == created && slices.Contains(late, key):
		s.lag = settled
		if err := s.broker.settle(); err != nil {
			s.fail("%w", err)
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
