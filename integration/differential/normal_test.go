package differential

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/internal/batch"
)

// began separates times: those that cases choose lie before it, those that brokers take from their clocks behind it.
var began = time.Now().Add(-time.Second)

// chosen is the timestamp that cases give their records.
var chosen = began.Add(-10 * time.Minute).UnixMilli()

const zeroID, idOf = "no id", "id of "

// naming gives names to what differs by nature between two brokers, so that the rest can be compared for equality.
type naming struct {
	broker    *broker
	names     map[string]string // of topics, to what the case calls them
	ids       map[[16]byte]string
	producers map[int64]string
	members   map[string]string // ids that the broker chose
}

func newNaming(b *broker) naming {
	return naming{broker: b, names: map[string]string{}, ids: map[[16]byte]string{}, producers: map[int64]string{}, members: map[string]string{}}
}

func (n *naming) name(full, short string)      { n.names[full] = short }
func (n *naming) id(id [16]byte, short string) { n.ids[id] = idOf + short }

func (n *naming) producer(id int64) {
	if _, ok := n.producers[id]; !ok {
		n.producers[id] = fmt.Sprintf("producer %d", len(n.producers)+1)
	}
}

// text replaces the names of topics by what the case calls them: they carry the version, which would tell answers of
// different versions apart.
func (n *naming) text(s string) string {
	if short, ok := n.names[s]; ok {
		return short
	}
	for full, short := range n.names {
		if rest, ok := strings.CutPrefix(s, full); ok {
			return short + strconv.Quote(rest)
		}
	}
	return strconv.Quote(s)
}

// unknownID is an id that cases ask for and no topic has. It stands for itself.
func unknownID(last byte) (id [16]byte) {
	copy(id[:], "no such topic..")
	id[15] = last
	return id
}

// nodeFields hold node ids.
var nodeFields = []string{"NodeID", "Leader", "LeaderID", "ControllerID", "Replicas", "ISR", "OfflineReplicas", "Broker"}

// named is the rule for a value, if there is one. kind and field say where it stands.
func (n *naming) named(v any, kind, field string) (*node, bool) {
	switch field {
	case "ThrottleMillis": // depends on quotas and load
		return bound(v.(int32) >= 0, "some throttle", v), true
	case "ErrorCode":
		if err := kerr.ErrorForCode(v.(int16)); err != nil {
			return leaf(fmt.Sprintf("%d %s", v, err.(*kerr.Error).Message)), true
		}
	case "ErrorMessage": // words are for people
		switch m := v.(*string); {
		case m == nil:
			return leaf("null"), true
		case *m == "":
			return leaf("empty"), true
		default:
			return leaf("words"), true
		}
	case "TopicID": // chosen at random when a topic is created
		return n.topicID(v.([16]byte)), true
	case "MemberID", "LeaderID": // of groups: a UUID behind the client's name
		if id, ok := text(v); ok && uuid.MatchString(id) {
			if n.members[id] == "" {
				n.members[id] = fmt.Sprintf("member %d", len(n.members)+1)
			}
			return leaf(n.members[id]), true
		}
	case "Dir": // where a broker keeps its data
		if s, ok := v.(string); ok && s != "" {
			return leaf("a directory"), true
		}
	case "Size", "TotalBytes", "UsableBytes": // of files and disks
		return bound(v.(int64) >= 0, "some bytes", v), true
	case "ClusterID": // chosen when the cluster was made; both print a UUID as 22 letters
		if s, ok := v.(*string); ok && s != nil {
			return bound(len(*s) == 22, "a cluster id", *s), true
		}
		if s, ok := v.(string); ok {
			return bound(len(s) == 22, "a cluster id", s), true
		}
	case "Host": // where the test started the broker; `wadi dev` calls the loopback address localhost
		if s, ok := v.(string); ok && (s == n.broker.host || s == "localhost") {
			return leaf("self"), true
		}
	case "Port":
		if p, ok := v.(int32); ok && p == n.broker.port {
			return leaf("self"), true
		}
	case "ResourceName": // of a broker: node ids are given out by the cluster
		if s, ok := v.(string); ok && s == strconv.Itoa(int(n.broker.node)) {
			return leaf("self"), true
		}
	case "ProducerID": // counted over the life of a cluster
		if name, ok := n.producers[v.(int64)]; ok {
			return leaf(name), true
		}
	case "LogAppendTime", "Timestamp", "LastTimestamp", "StartTimestamp": // the broker's clock, unless the case chose it
		if at, ok := v.(int64); ok {
			return leaf(when(at)), true
		}
	case "Documentation": // words, too
		if v.(*string) != nil {
			return leaf("words"), true
		}
	case "Partitions": // of a transaction: Apache Kafka lists them in the order of a hash set
		if list, ok := v.([]int32); ok && kind == "DescribeTransactionsResponseTransactionStateTopic" {
			list = slices.Clone(list)
			slices.Sort(list)
			return leaf(fmt.Sprint(list)), true
		}
	case "RecordBatches":
		return n.batches(v.([]byte)), true
	}
	if id, ok := v.(int32); ok && slices.Contains(nodeFields, field) && id == n.broker.node {
		return leaf("self"), true // node ids are given out by the cluster
	}
	return nil, false
}

// uuid is a UUID as it is printed, or, as Kafka gives to members, in base64.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$|^[A-Za-z0-9_-]{22}$`)

// text is a string that may be null.
func text(v any) (string, bool) {
	if p, ok := v.(*string); ok && p != nil {
		return *p, true
	}
	s, ok := v.(string)
	return s, ok
}

// bound is a value of which only a condition is compared.
func bound(holds bool, name string, v any) *node {
	if holds {
		return leaf(name)
	}
	return leaf(fmt.Sprint(v))
}

func (n *naming) topicID(id [16]byte) *node {
	name, known := n.ids[id]
	switch {
	case known:
		return leaf(name)
	case id == [16]byte{}:
		return leaf(zeroID)
	case strings.HasPrefix(string(id[:]), "no such topic"):
		return leaf("unknown id " + hex.EncodeToString(id[15:]))
	default:
		return leaf("some id")
	}
}

func when(ms int64) string {
	if at := time.UnixMilli(ms); at.After(began) && at.Before(time.Now().Add(time.Minute)) {
		return "now"
	}
	if d := ms - chosen; d > -1e9 && d < 1e9 {
		return fmt.Sprintf("chosen%+d", d)
	}
	return strconv.FormatInt(ms, 10)
}

// batches takes fetched bytes apart: headers by field, records by what a reader sees. CRCs are checked instead of
// compared, as they cover the times.
func (n *naming) batches(b []byte) *node {
	if b == nil {
		return leaf("null")
	}
	out := &node{}
	for i := 0; len(b) > 0; i++ {
		one, rest, err := batch.Split(b)
		if err != nil {
			out.add(fmt.Sprintf("[%d]", i), leaf(fmt.Sprintf("%d bytes: %v", len(b), err)))
			return out
		}
		out.add(fmt.Sprintf("[%d]", i), n.batch(one))
		b = rest
	}
	return out
}

// unstamped is a batch without what differs by nature: CRC, first and greatest timestamp, producer id.
func unstamped(b batch.Batch) []byte {
	b = slices.Clone(b)
	for _, f := range [][2]int{{17, 21}, {27, 35}, {35, 43}, {43, 51}} {
		clear(b[f[0]:f[1]])
	}
	return b
}

func (n *naming) batch(b batch.Batch) *node {
	out := &node{}
	producer, ok := n.producers[b.ProducerID()]
	if !ok {
		producer = strconv.FormatInt(b.ProducerID(), 10)
	}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"BaseOffset", b.BaseOffset()}, {"Length", len(b)}, {"LeaderEpoch", b.PartitionLeaderEpoch()}, {"Magic", b.Magic()},
		{"CRC", b.CRC() == b.ComputeCRC()}, {"Attributes", b.Attributes()}, {"LastOffsetDelta", b.LastOffsetDelta()},
		{"BaseTimestamp", when(b.BaseTimestamp())}, {"MaxTimestamp", when(b.MaxTimestamp())},
		{"Producer", producer}, {"Epoch", b.ProducerEpoch()}, {"Sequence", b.BaseSequence()}, {"Count", b.NumRecords()},
	} {
		out.add(f.name, leaf(fmt.Sprint(f.value)))
	}
	if b.Control() {
		out.add("Bytes", leaf(hex.EncodeToString(unstamped(b))))
	}
	it := b.Iter()
	defer it.Close()
	for i := 0; ; i++ {
		r, ok := it.Next()
		if !ok {
			break
		}
		out.add(fmt.Sprintf("[%d]", i), leaf(fmt.Sprintf("%d %s %q=%q %d headers", r.Offset, when(r.Timestamp), r.Key, r.Value, r.Headers.Len())))
	}
	if err := it.Err(); err != nil {
		out.add("records", leaf(err.Error()))
	}
	return out
}
