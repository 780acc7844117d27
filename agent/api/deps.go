package api

import (
	"context"
	"time"

	"wadi/agent/fetchsession"
	"wadi/agent/server"
	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
	"wadi/metadata/view"
)

// View is the live State.
type View interface {
	// Read calls fn while nothing is applied. fn must be quick, must not call the View, and must keep nothing of what
	// it sees but copies, numbers and strings.
	Read(fn func(*state.State))
	// Barrier waits until everything that was in the journal when it was called is applied. Any error but
	// ErrViewBehind is taken for ErrMetadataUnavailable.
	Barrier(ctx context.Context) error
	// Stand makes a Standing that follows nothing yet.
	Stand() Standing
}

// Standing collects which of the partitions that it follows were touched by an entry, for a fetch session. Its methods
// may be called from any goroutine, but not from Read's function. view.Standing says more.
type Standing interface {
	// Follow begins to follow refs[i] under tags[i], numbers that are not in use. State must be read after it.
	Follow(refs []view.PartitionRef, tags []uint32)
	// Unfollow ends it. Tags that are not in use are ignored.
	Unfollow(tags []uint32)
	// Take appends the tags that were touched since it was last called, each once. State shows what touched them.
	Take(dst []uint32) []uint32
	// Wake has wake called when a tag is touched, nil nobody. It reports whether Take has one already.
	Wake(wake func()) (touched bool)
	// Close follows nothing any more.
	Close()
}

// Broker is a live agent as clients see it.
type Broker struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // "" = none
}

// Members knows the live agents. While etcd does not answer it names the other agents of the last view.
type Members interface {
	// Brokers are those with an open session and a live key, sorted by node id, with the addresses of the listener of
	// that index. The slice is shared: do not change it. It is empty only before this agent has a node id.
	Brokers(listener int) []Broker
	// Self is this agent's node id, false while it has none.
	Self() (int32, bool)
}

// Proposer appends commands to the journal and waits until this agent has applied them. SessionProposer is the one that
// agents use.
type Proposer interface {
	// Propose returns one outcome per command, in order; each was judged on its own.
	Propose(ctx context.Context, commands []*pb.Command) []Outcome
}

// Outcome is what became of a command. Err is nil when it was applied, whatever State's verdict in Result. Else it is
// ErrNotProposed, ErrDraining, ErrFeatureLevel or ErrMemory when nothing was done or will be, ErrOutcomeUnknown when it
// may have been or may still be; the latter also when ctx ended first.
type Outcome struct {
	Result state.Result // Batches is a copy
	Err    error
}

// failed is the outcome as one error: nil only when State accepted the command.
func (o Outcome) failed() error {
	switch {
	case o.Err != nil:
		return o.Err
	case o.Result.Code != state.OK:
		return &Refused{o.Result.Code}
	}
	return nil
}

// Ingest takes produced batches. Produce must not block: it is called in the connection's reader, in the order of
// arrival. call.Done is called exactly once, from any goroutine, when every part's result is set; if ctx ends before,
// the batches are still committed or refused as if it had not.
type Ingest interface {
	Produce(ctx context.Context, call *ProduceCall)
}

// ProduceCall is one Produce request, its partitions known to exist.
type ProduceCall struct {
	Conn      uint64 // order is owed per (connection, partition)
	Acks      int16  // -1, 0 or 1
	Timeout   time.Duration
	AllowZstd bool // the request's version may carry zstd (Semantics line 20)
	// JoinsTxn: a transactional batch adds its partition to the transaction (KIP-890), else it must have been added.
	JoinsTxn bool
	// Frame holds the Records. It lives until Done; retain it to use them longer.
	Frame *server.Frame
	Parts []ProducePart
	Done  func()
}

// ProducePart is one partition of a ProduceCall: what came, and what became of it.
type ProducePart struct {
	Topic     uint64 // number
	Partition int32
	Config    *kafkaconfig.Effective // shared, read-only
	Records   []byte                 // aliases the frame; one batch, not validated. The callee may patch it

	// Err is nil for stored batches, also for a duplicate of one. Else one of this package's sentinels, an error of
	// package batch, or a *Refused. A write that may still land is ErrOutcomeUnknown or ErrTimeout, never anything else.
	Err        error
	BaseOffset int64 // ignored with Err
	AppendTime int64 // Unix ms with LogAppendTime, else -1
	LogStart   int64
}

// Log reads what is stored.
type Log interface {
	// Fetch fills in call.Parts and calls call.Done exactly once, from any goroutine. It must not block. It answers
	// when MinBytes are there over all parts, when one part has an error, when MaxWait is over, or when Drain ends.
	// When ctx ends the client is gone and the answer is not needed, but Done is still called.
	Fetch(ctx context.Context, call *FetchCall)
	// TimeOffset is the first record below limit with a timestamp of at least ms; offset -1 when there is none.
	TimeOffset(ctx context.Context, topic uint64, partition int32, ms, limit int64) (offset, timestamp int64, err error)
	// MaxTime is the record with the largest timestamp, the first of them; offset -1 when there is none, or when it is not
	// stable yet and committed is set.
	MaxTime(ctx context.Context, topic uint64, partition int32, committed bool) (offset, timestamp int64, err error)
}

// FetchCall is one Fetch request, its partitions known to exist.
type FetchCall struct {
	MinBytes, MaxBytes int // over all parts
	MaxWait            time.Duration
	ReadCommitted      bool
	// Drain ends when the agent shuts down: whoever waits answers with what is there.
	Drain context.Context
	Parts []FetchPart
	// Session, unless nil, says before each look at State what Parts are.
	Session FetchSession
	Done    func()
	// Release, set by the callee before Done or left nil, is called once when no Records are used any more.
	Release func()
}

// FetchSession is a FetchCall's side of a fetch session: of its partitions only those that may have news are looked at.
// Parts is called by one goroutine at a time, Wake by any.
type FetchSession interface {
	// Parts are those to look at now, in the order of service; with all every one of the session. Without wait the call
	// is answered at once: a partition has an error already, or the session went on without this call. The slice is the
	// callee's until Done or the next Parts.
	Parts(all bool) (parts []FetchPart, wait bool)
	// Wake has wake called when there is more to look at; nil ends that. It reports whether there is already.
	Wake(wake func()) (now bool)
}

// FetchPart is one partition of a FetchCall: where to read, and what was found, all of it from one snapshot of State.
type FetchPart struct {
	Topic     uint64 // number
	Partition int32
	Offset    int64
	MaxBytes  int

	// Err: ErrOffsetOutOfRange, ErrUnknownTopic, ErrViewBehind, ErrStoreUnavailable, ErrObjectMissing, ... HighWatermark,
	// LastStable and LogStart are set with ErrOffsetOutOfRange too, -1 where they are not known.
	Err                                 error
	HighWatermark, LastStable, LogStart int64
	Records                             [][]byte // whole batches, in order
	Aborted                             []Aborted
}

// Aborted is an aborted transaction that overlaps what was read (read_committed only).
type Aborted struct{ ProducerID, FirstOffset int64 }

// Config is what the handlers need of the agent's configuration.
type Config struct {
	// FetchSessions bounds the open fetch sessions; the zero value means fetchsession.DefaultLimits.
	FetchSessions fetchsession.Limits

	DefaultPartitions int32 // num.partitions, at least 1
	AutoCreate        bool  // auto.create.topics.enable
	MaxFetchBytes     int   // fetch.max.bytes of the broker [55 MiB]
	// LogDir is how DescribeLogDirs calls the object store: its URL without credentials and options.
	LogDir            string
	OffsetMetadataMax int   // offset.metadata.max.bytes [4096]
	MaxTxnTimeoutMs   int32 // transaction.max.timeout.ms [15 minutes]
	MergeDebt         int   // objects that are not merged: above it producers are throttled [20,000]
	// Broker holds what the agent's own configuration says of further broker configs, by Kafka's names.
	Broker map[string]string
}

// Deps is everything the handlers work on.
type Deps struct {
	View     View
	Members  Members
	Proposer Proposer
	Ingest   Ingest
	Log      Log
	Groups   Groups
	Txns     Transactions
	Config   Config
	// OnThrottle is told of each wait that a producer is told of; nil = nobody. It must not block, nor read State.
	OnThrottle func(Throttle)
}
