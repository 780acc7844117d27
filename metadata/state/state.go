package state

import (
	"cmp"
	"math"
	"slices"

	"wadi/internal/layout"
)

// FeatureLevel is the level this code writes and the highest it can apply. It gates every command and every change of
// Apply's behaviour.
const FeatureLevel1 uint32 = 1

const (
	MinFeatureLevel = FeatureLevel1
	MaxFeatureLevel = FeatureLevel1
)

// Caps. Past them commands are refused, so that State's size is bounded by configuration of the product, not by load.
const (
	MaxTopics     = 200_000
	MaxPartitions = 1_000_000
	MaxProducers  = 8_000_000 // (producer id, partition) pairs: 640 MB

	// MaxTopicPartitions bounds what a topic may grow to: what one command makes, and the list that its changes copy.
	MaxTopicPartitions = 10_000
)

// State is the cluster's metadata at one position. The zero value is not usable; see New and Load.
type State struct {
	gen uint64 // buckets, topics and partitions of an older generation may be shared with a snapshot

	clusterID    string
	incarnation  uint32
	featureLevel uint32

	position int64 // of the last entry applied
	digest   Digest
	lastMark int64

	// The entry being applied.
	session layout.Session
	seq     uint64
	atMs    int64

	nextTopic        uint64
	topics           table[*Topic]
	deleted          []uint64 // deleted topics that a Sweep has not finished, oldest first
	forgottenDeletes int64    // the newest deletion whose topic is swept
	trimmed          []trimmed
	livePartitions   int
	heldPartitions   int // those of deleted topics included, until they are swept

	nextProducerID int64
	highestExpired int64
	producerCount  int
	runCount       int
	nextObject     uint64
	objects        table[Object]
	written        [objectKinds]uint64
	appended       uint64
	loose          table[Manifest] // that no partition has any more, by object number
	archives       []archive
	archivedTo     int64
	epochs         []inlineEpoch
	epochsGen      uint64 // of the slice: a snapshot may hold one of an older generation
	sessions       table[Session]
	nextNodeID     int32
	nodes          []nodeAt // newest last; replaced as a whole

	configs          []*ConfigResource // sorted by type and name; replaced as a whole, a snapshot may hold it
	configBytes      int
	forgottenConfigs int64 // the newest change that left a resource without configs

	groupsMade  uint64
	groups      table[*Group]
	offsetCount int
	groupBytes  int64

	txnsMade       uint64
	txns           table[*Txn]
	txnBytes       int64
	pendingOffsets int // positions that wait for the end of a transaction
	abortedCount   int // entries of all partitions' aborted lists

	defaultLogAppendTime bool  // log.message.timestamp.type of all brokers, parsed
	brokerConfigsChanged int64 // at the latest

	// Derived, not part of snapshots.
	lastSweep     int64
	garbage       table[struct{}] // numbers of objects without references
	garbageBytes  int64
	lastLost      int64 // position of the newest loss
	unmerged      int   // referenced flush objects
	unmergedBytes int64

	byName      map[string]uint64
	byCollision map[string]uint64
	byID        map[TopicID]uint64
	byGroup     map[string]uint64
	byTxn       map[string]uint64
	byProducer  map[int64]uint64 // transactional id by the producer id that it has, and by the one before
	openTxns    table[struct{}]  // transactional ids that have an open transaction

	results Results
	scratch []byte
	warmer  warmer
}

// New is the state before the first entry.
func New() *State {
	return &State{
		gen: 1, nextTopic: 1, nextProducerID: 1, highestExpired: -1, nextObject: 1, epochs: []inlineEpoch{{}},
		byName: map[string]uint64{}, byCollision: map[string]uint64{}, byID: map[TopicID]uint64{},
		byGroup: map[string]uint64{}, byTxn: map[string]uint64{}, byProducer: map[int64]uint64{},
	}
}

// Position is that of the last entry applied.
func (s *State) Position() int64 { return s.position }

// Digest is the running digest: equal on replicas that applied the same entries with the same results.
func (s *State) Digest() Digest { return s.digest }

// LastMark is the position of the newest mark.
func (s *State) LastMark() int64 { return s.lastMark }

// ClusterID is "" before InitCluster.
func (s *State) ClusterID() string     { return s.clusterID }
func (s *State) Incarnation() uint32   { return s.incarnation }
func (s *State) FeatureLevel() uint32  { return s.featureLevel }
func (s *State) NextProducerID() int64 { return s.nextProducerID }

// HighestExpiredProducerID is the highest producer id whose state may have been dropped for its age: ids above it must
// start at sequence 0 where nothing is known of them.
func (s *State) HighestExpiredProducerID() int64 { return s.highestExpired }

// Freeze returns a snapshot for reading, unaffected by later entries. It costs time and memory by the number of
// buckets; what is changed afterwards is copied on its first change. The lookups by name and UUID do not work on it.
func (s *State) Freeze() *State {
	c := *s
	c.topics, c.objects, c.sessions = s.topics.share(), s.objects.share(), s.sessions.share()
	c.loose, c.garbage = s.loose.share(), s.garbage.share()
	c.groups, c.txns, c.openTxns = s.groups.share(), s.txns.share(), s.openTxns.share()
	c.byName, c.byCollision, c.byID, c.byGroup, c.byTxn, c.byProducer = nil, nil, nil, nil, nil, nil
	c.results, c.scratch, c.warmer = Results{}, nil, warmer{}
	s.gen++
	return &c
}

// Size is State's memory by class, in bytes, estimated from counts.
func (s *State) Size() map[string]int64 {
	return map[string]int64{
		"runs":       int64(s.runCount) * runBytes,
		"producers":  int64(s.producerCount) * producerBytes,
		"partitions": int64(s.heldPartitions) * 160,
		"topics":     int64(s.topics.len()) * 400,
		"objects":    int64(s.objects.len())*72 + int64(s.garbage.len())*16,
		"manifests":  int64(s.loose.len()) * 72,
		"sessions":   int64(s.sessions.len()) * 64,
		"configs":    int64(s.configBytes) + int64(len(s.configs))*128,
		"groups":     s.groupBytes + int64(s.groups.len())*groupOverhead,
		"offsets":    int64(s.offsetCount) * offsetBytes,
		"txns":       s.txnBytes + int64(s.txns.len())*txnOverhead + int64(s.abortedCount)*abortedBytes,
	}
}

// Counts of runs, and of (producer id, partition) pairs.
func (s *State) RunCount() int      { return s.runCount }
func (s *State) ProducerCount() int { return s.producerCount }

// sortedTopics are those that there are, deleted ones that wait for a sweep included, in the order of their numbers. It
// runs while State is held: as long as most numbers ever given are in use, asking for each of them takes a fifth of the
// time of sorting.
func (s *State) sortedTopics() []*Topic {
	list := make([]*Topic, 0, s.topics.len())
	if s.nextTopic <= 4*uint64(s.topics.len()) {
		s.topics.numbered(0, s.nextTopic-1, math.MaxInt, func(t **Topic) { list = append(list, *t) })
		return list
	}
	s.topics.each(func(_ uint64, t **Topic) { list = append(list, *t) })
	slices.SortFunc(list, func(a, b *Topic) int { return cmp.Compare(a.Number, b.Number) })
	return list
}

func sortedKeys[V any](t *table[V]) []uint64 {
	keys := make([]uint64, 0, t.len())
	t.each(func(k uint64, _ *V) { keys = append(keys, k) })
	slices.Sort(keys)
	return keys
}
