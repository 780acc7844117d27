package history

// Kind says what a fact is about. Which fields of a Fact it uses stands beside each.
type Kind string

// What producers do.
const (
	// Attempt: Who is about to send Value (Sum, Timestamp) to Topic/Partition, inside Txn or none. Source is the value
	// that it was made from, where a transaction consumes and produces.
	Attempt Kind = "attempt"
	// Ack: Value was acknowledged at Offset.
	Ack Kind = "ack"
	// Fail: the send of Value ended with Error. Outcome is Refused when the value can never appear, else Unknown.
	Fail Kind = "fail"
)

// What transactions do.
const (
	// InitAttempt and InitReply: Who asks for the producer id of transactional id Name; the reply brings Producer, Epoch.
	InitAttempt Kind = "init-attempt"
	InitReply   Kind = "init-reply"
	// Begin: Who begins transaction Txn of transactional id Name. It may be overdue after Limit of real time.
	Begin Kind = "begin"
	// EndAttempt and EndReply: the transaction is to be committed (Commit) or aborted. Outcome OK of a reply means that
	// what was asked for has happened; Refused that it was aborted although Commit was asked for.
	EndAttempt Kind = "end-attempt"
	EndReply   Kind = "end-reply"
)

// What consumers see.
const (
	// Read: Who got Value (Sum, Timestamp) of Topic/Partition at Offset with its Poll-th poll, under Txn or none, with
	// isolation read_committed (Committed) or not, from Broker where that is known.
	Read Kind = "read"
	// Seek: Who goes on anywhere in Topic/Partition, or everywhere without a Topic: a jump is no error.
	Seek Kind = "seek"
	// Marks: a fetch through Broker told Who Start, Stable and High of Topic/Partition.
	Marks Kind = "marks"
	// OutOfRange: a fetch at Offset was called out of range; the log start was told as Start.
	OutOfRange Kind = "out-of-range"
	// EndAsk and EndTold: Who asks Broker for the end of Topic/Partition, the stable one with Committed. Ref of the answer
	// is the N of the question; Offset is the end.
	EndAsk  Kind = "log-end-ask"
	EndTold Kind = "log-end-told"
)

// What groups do.
const (
	// Own: Member of group Name has Partitions of Topic in Generation.
	Own Kind = "own"
	// CommitAttempt and CommitReply: Offset of Topic/Partition for group Name, in a transaction (Txn) or not; Ref of the
	// reply is the N of the attempt. Generation is -1 where none was named.
	CommitAttempt Kind = "commit-attempt"
	CommitReply   Kind = "commit-reply"
	// OffsetAsk and OffsetTold: Who asks for the committed offset, with require_stable (Committed) or not. Ref as above;
	// Offset is -1 where none is committed.
	OffsetAsk  Kind = "offset-ask"
	OffsetTold Kind = "offset-told"
)

// What happens to the cluster, and what the run says about itself.
const (
	// Plan: fault or invariant Name is to be shown by this run.
	Plan Kind = "plan"
	// Start and Stop: fault Name, against Who, which is down or cut off meanwhile where Broker is given. Outcome OK of Stop
	// means that it was seen to have happened.
	Start Kind = "fault-start"
	Stop  Kind = "fault-stop"
	// Healed: no fault is on from here to the end.
	Healed Kind = "healed"
	// Probe: what was tried for liveness, Name with the invariant in Value ("L1"), ended with Outcome.
	Probe Kind = "probe"
	// Drained: the reader Who was to read Topic/Partition from its start to Offset. Outcome is Unknown when the budget
	// ran out and something else than the cluster was down.
	Drained Kind = "drained"
	// Settled: at the end, with no producer alive, Broker told Stable and High of Topic/Partition. Outcome is Refused when
	// the budget ran out before both were one.
	Settled Kind = "settled"
	// Note: anything for the reader of a dump, in Error.
	Note Kind = "note"
)

// Outcome of a request.
type Outcome string

const (
	OK      Outcome = "ok"
	Unknown Outcome = "unknown" // it may have happened, or may happen yet
	Refused Outcome = "refused" // it did not happen and never will
)

// Fact is one thing that one goroutine knows. N is its place in the order of recording: a fact that was recorded before
// another began has the smaller one. At is monotonic time since the recorder's start in nanoseconds.
type Fact struct {
	N    int64 `json:"n"`
	At   int64 `json:"at"`
	Kind Kind  `json:"kind"`

	Who     string  `json:"who,omitempty"`
	Name    string  `json:"name,omitempty"`
	Txn     int64   `json:"txn,omitempty"` // number of a transaction of this history, from 1
	Ref     int64   `json:"ref,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	Error   string  `json:"error,omitempty"`

	Topic     string `json:"topic,omitempty"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Value     string `json:"value,omitempty"`
	Sum       uint64 `json:"sum,omitempty"` // of key, value and headers
	Timestamp int64  `json:"timestamp,omitempty"`
	Source    string `json:"source,omitempty"`

	Poll      int64  `json:"poll,omitempty"`
	Committed bool   `json:"committed,omitempty"`
	Commit    bool   `json:"commit,omitempty"`
	Broker    string `json:"broker,omitempty"`
	LogStart  int64  `json:"logStart,omitempty"`
	Stable    int64  `json:"stable,omitempty"`
	High      int64  `json:"high,omitempty"`
	Limit     int64  `json:"limit,omitempty"` // nanoseconds

	Producer   int64   `json:"producer,omitempty"`
	Epoch      int16   `json:"epoch,omitempty"`
	Generation int32   `json:"generation,omitempty"`
	Member     string  `json:"member,omitempty"`
	Partitions []int32 `json:"partitions,omitempty"`
}

// Log names a partition.
type Log struct {
	Topic     string
	Partition int32
}

// Log is the partition that the fact is about.
func (f *Fact) Log() Log { return Log{f.Topic, f.Partition} }
