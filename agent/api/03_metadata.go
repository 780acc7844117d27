package api

// Metadata: key 3, versions 0 to 13.

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// autoCreateTimeout bounds creation on the way of a Metadata request. A client that gets LEADER_NOT_AVAILABLE asks again.
const autoCreateTimeout = 5 * time.Second

// metadata lists brokers and topics. Leaders come from rendezvous hashing over the live brokers, and the leader epoch
// is always 0, as no partition ever changes hands (Semantics line 13).
func (a *API) metadata(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.MetadataRequest)
	m := &describing{version: req.Version, brokers: a.d.Members.Brokers(req.Conn.Listener), ops: body.IncludeTopicAuthorizedOperations}
	if body.Topics == nil || (req.Version == 0 && len(body.Topics) == 0) { // Semantics line 9.
		a.d.View.Read(func(s *state.State) {
			m.clusterID = s.ClusterID()
			m.topics = make([]describedTopic, 0, s.Topics())
			s.EachTopic(func(t *state.Topic) {
				m.topics = append(m.topics, describedTopic{name: t.Name, id: t.ID, partitions: t.Partitions()})
			})
		})
		return m.response(body), nil
	}
	a.twice(ctx, func(s *state.State, barrier error) bool { return m.find(s, barrier, body) })
	if a.d.Config.AutoCreate && (req.Version < 4 || body.AllowAutoTopicCreation) {
		a.autoCreate(ctx, m)
	}
	return m.response(body), nil
}

// autoCreate creates the topics that were found missing by name (Semantics line 10). When two agents do so at once,
// one command finds the topic there, and both answer with the one id that State gave.
func (a *API) autoCreate(ctx context.Context, m *describing) {
	var wanted []newTopic
	for i := range m.topics {
		if t := &m.topics[i]; t.err == ErrUnknownTopic && !t.byID && !internalTopic(t.name) && t.name != clusterMetadata {
			wanted = append(wanted, newTopic{name: t.name, partitions: a.d.Config.DefaultPartitions})
		}
	}
	if len(wanted) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, autoCreateTimeout)
	defer cancel()
	a.create(ctx, wanted)
	failed := make(map[string]error, len(wanted))
	for i := range wanted {
		failed[wanted[i].name] = wanted[i].err
	}
	a.d.View.Read(func(s *state.State) {
		for i := range m.topics {
			t := &m.topics[i]
			err, ok := failed[t.name]
			if !ok || t.byID {
				continue
			}
			if found := s.Topic(t.name); found != nil {
				t.err, t.id, t.partitions = nil, found.ID, found.Partitions()
			} else if t.err = err; err == nil || code(keyCreateTopics, err) == kerr.TopicAlreadyExists.Code {
				t.err = kerr.LeaderNotAvailable // Created, and deleted again before this look.
			}
		}
	})
}

// describing is one Metadata request on its way: copies of what was read, so that the reply is built outside the view.
type describing struct {
	version   int16
	brokers   []Broker
	clusterID string
	topics    []describedTopic
	ops       bool
}

type describedTopic struct {
	name       string
	id         state.TopicID
	byID       bool
	partitions int
	err        error
}

func (m *describing) find(s *state.State, barrier error, body *kmsg.MetadataRequest) (missing bool) {
	m.clusterID = s.ClusterID()
	m.topics = make([]describedTopic, 0, len(body.Topics))
	var twice seen[topicRef]
	for i := range body.Topics {
		in := &body.Topics[i]
		d := describedTopic{id: in.TopicID, byID: m.version >= 10 && in.TopicID != [16]byte{}}
		if in.Topic != nil {
			d.name = *in.Topic
		}
		ref := topicRef{name: d.name, id: d.id, byID: d.byID}
		if twice.again(ref) {
			continue // Named twice, listed once: clients key the answer by topic.
		}
		if !d.byID {
			d.err = validName(d.name)
		} else if m.version < 12 { // From then on the id counts, and a name beside it does not.
			d.err = refuse(kerr.InvalidRequest, "topic ids need version 12")
		}
		if d.err == nil {
			t, unknown := ref.find(s)
			if unknown == nil {
				d.name, d.id, d.partitions = t.Name, t.ID, t.Partitions()
			} else {
				missing = true
				d.err = either(barrier, unknown)
			}
		}
		m.topics = append(m.topics, d)
	}
	return missing
}

func (m *describing) response(body *kmsg.MetadataRequest) kmsg.Response {
	resp := kmsg.NewPtrMetadataResponse()
	resp.Brokers = make([]kmsg.MetadataResponseBroker, len(m.brokers))
	for i, b := range m.brokers {
		out := &resp.Brokers[i]
		out.NodeID, out.Host, out.Port, out.Rack = b.NodeID, b.Host, b.Port, rack(b)
	}
	if m.clusterID != "" {
		resp.ClusterID = kmsg.StringPtr(m.clusterID)
	}
	// Semantics line 14: any agent can do a controller's work; hashing makes all of them name the same one.
	resp.ControllerID = controller(m.clusterID, m.brokers)
	if body.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	resp.Topics = make([]kmsg.MetadataResponseTopic, len(m.topics))
	for i := range m.topics {
		m.topic(&m.topics[i], &resp.Topics[i])
	}
	return resp
}

func (m *describing) topic(t *describedTopic, out *kmsg.MetadataResponseTopic) {
	out.Default()
	out.ErrorCode = code(keyMetadata, t.err)
	out.TopicID, out.IsInternal = t.id, internalTopic(t.name)
	if !(t.byID && t.err != nil && m.version >= 12) { // Semantics line 12: an unknown id has a null name.
		out.Topic = &t.name
	}
	if m.ops && !(t.byID && t.err != nil) {
		out.AuthorizedOperations = topicOperations // of whatever has the name, were it there
	}
	if t.err != nil {
		return
	}
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, t.partitions)
	nodes := make([]int32, 0, t.partitions*min(maxReplicas, len(m.brokers)))
	for i := range out.Partitions {
		p := &out.Partitions[i]
		p.Partition, p.LeaderEpoch, p.Leader = int32(i), 0, -1
		from := len(nodes)
		nodes = place(partitionKey(t.id, p.Partition), m.brokers, maxReplicas, nodes)
		replicas := nodes[from:len(nodes):len(nodes)]
		if len(replicas) == 0 {
			p.ErrorCode = kerr.LeaderNotAvailable.Code
			continue
		}
		p.Leader, p.Replicas, p.ISR = replicas[0], replicas, replicas
	}
}

// controller is the broker that administrators' requests go to, -1 when none is known (Semantics line 14). Every broker
// names the same one, though any would do.
func controller(clusterID string, brokers []Broker) int32 {
	if c, ok := coordinator(-1, clusterID, brokers); ok {
		return c.NodeID
	}
	return -1
}

func rack(b Broker) *string {
	if b.Rack == "" {
		return nil
	}
	return kmsg.StringPtr(b.Rack)
}

// internalTopic names the topics that clients must treat as the broker's own.
func internalTopic(name string) bool {
	return name == "__consumer_offsets" || name == "__transaction_state" || name == "__share_group_state"
}

// Without an authorizer everything is allowed. Bits are Kafka's operation codes.
const (
	topicOperations   = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	clusterOperations = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
)
