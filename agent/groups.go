package agent

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"wadi/agent/api"
	"wadi/agent/group"
	"wadi/agent/group/consumer"
	"wadi/internal/config"
	"wadi/metadata/journal"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// groupRouting implements group.Routing.
type groupRouting struct{ *routing }

// Mine implements group.Routing.
func (r groupRouting) Mine(name string) bool {
	mine := false
	r.ask(func(self int32, brokers []api.Broker) bool {
		mine = coordinates(self, brokers, name)
		return mine
	})
	return mine
}

// Many implements group.Routing.
func (r groupRouting) Many() func(name string) bool {
	self, brokers := r.once()
	return func(name string) bool { return coordinates(self, brokers, name) }
}

func coordinates(self int32, brokers []api.Broker, group string) bool {
	b, ok := api.GroupCoordinator(group, brokers)
	return ok && b.NodeID == self
}

// Epoch implements group.Routing.
func (r groupRouting) Epoch() uint64 {
	_, _, epoch := r.list(routingAge)
	return epoch
}

func groupConfig(c config.Config, v *view.View) group.Config {
	g := c.Kafka.Groups
	return group.Config{
		InitialDelay: time.Duration(g.InitialRebalanceDelayMs) * time.Millisecond,
		MinSession:   time.Duration(g.MinSessionTimeoutMs) * time.Millisecond,
		MaxSession:   time.Duration(g.MaxSessionTimeoutMs) * time.Millisecond,
		MaxSize:      min(g.MaxSize, state.MaxGroupMembers),
		NewID:        newUUID,
		MaxConsumers: min(g.ConsumerMaxSize, state.MaxGroupMembers),
		Topics:       groupTopics{v},
		Consumers:    func(name string) group.ConsumerSettings { return consumerSettings(g, v, name) },
	}
}

// consumerSettings are a group's own configs, the agent's where it has none.
func consumerSettings(g config.Groups, v *view.View, name string) group.ConsumerSettings {
	session, interval := g.ConsumerSessionTimeoutMs, g.ConsumerHeartbeatIntervalMs
	v.Read(func(s *state.State) {
		r := s.Configs(state.GroupConfigs, name)
		for key, value := range map[string]*int{"consumer.session.timeout.ms": &session, "consumer.heartbeat.interval.ms": &interval} {
			if text, ok := r.Config(key); ok {
				if n, err := strconv.Atoi(text); err == nil { // checked when it was set
					*value = n
				}
			}
		}
	})
	return group.ConsumerSettings{
		Session: time.Duration(session) * time.Millisecond, Interval: time.Duration(interval) * time.Millisecond,
	}
}

// groupTopics implements consumer.Topics.
type groupTopics struct{ view *view.View }

func (t groupTopics) Named(name string) (found consumer.Topic, ok bool) {
	t.view.Read(func(s *state.State) {
		if x := s.Topic(name); x != nil {
			found, ok = consumer.Topic{Number: x.Number, Name: x.Name, Partitions: uint32(x.Partitions())}, true
		}
	})
	return found, ok
}

func (t groupTopics) Name(number uint64) (name string, ok bool) {
	t.view.Read(func(s *state.State) {
		if x := s.TopicByNumber(number); x != nil {
			name, ok = x.Name, true
		}
	})
	return name, ok
}

func (t groupTopics) Matching(re *regexp.Regexp) (found []consumer.Topic) {
	t.view.Read(func(s *state.State) {
		s.EachTopic(func(x *state.Topic) {
			if re.MatchString(x.Name) {
				found = append(found, consumer.Topic{Number: x.Number, Name: x.Name, Partitions: uint32(x.Partitions())})
			}
		})
	})
	return found
}

// newUUID makes a random UUID (version 4, RFC 9562), as Kafka's member ids end in one.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// groupObserver lets the coordinator, which is made after the view, hear of its entries.
type groupObserver struct{ p *parts }

func (o groupObserver) Applied(e journal.Entry, body *pb.Entry, res *state.Results) {
	o.p.groups.Applied(e, body, res)
}
func (o groupObserver) Replaced(s *state.State) { o.p.groups.Replaced(s) }
