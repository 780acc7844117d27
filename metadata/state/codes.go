package state

import "fmt"

// Code is State's verdict on a command or a batch. Codes enter the digest: their numbers never change. The protocol
// edge maps them to Kafka's error codes.
type Code uint8

const (
	OK                   Code = 0
	Duplicate            Code = 1  // an idempotent batch that is stored already: Base is its original offset
	Invalid              Code = 2  // malformed: columns that do not add up, ranges outside the object
	NotInitialized       Code = 3  // before InitCluster
	SessionNotOpen       Code = 4  // the entry's session is not open
	UnknownTopic         Code = 5  // no such topic or partition, or deleted
	TopicExists          Code = 6  // a topic of that name is there; ID tells its number
	NameCollision        Code = 7  // differs from a topic's name in '.' and '_' only
	OutOfOrderSequence   Code = 8  // a gap in an idempotent producer's sequence
	InvalidProducerEpoch Code = 9  // an older epoch of the producer
	FlushReused          Code = 10 // the flush number does not rise
	Conflict             Code = 11 // the object was changed by another session after the command's base
	TooMany              Code = 12 // a cap is reached: topics, partitions, producers
	FeatureLevel         Code = 13 // the cluster's feature level is outside the session's range
	Stale                Code = 14 // done before; nothing to do
	NotMore              Code = 15 // the topic has as many partitions already; ID tells how many
	OffsetOutOfRange     Code = 16 // a log start cannot move there: below 0 or above the next offset
	UnknownGroup         Code = 17 // no such group
	UnknownMember        Code = 18 // the group has no such member
	IllegalGeneration    Code = 19 // not the group's generation
	FencedInstance       Code = 20 // another member has the instance id
	RebalanceInProgress  Code = 21 // the generation has no assignment yet
	StaleMemberEpoch     Code = 22 // not the member's epoch, nor one under which it had the partitions
	NotEmpty             Code = 23 // the group has members
	UnknownTxn           Code = 24 // no transactional id has that producer id
	ProducerFenced       Code = 25 // another producer goes on under the transactional id
	InvalidTxnState      Code = 26 // the transaction is not in a state for it, or the partition or group not in the transaction
)

var codeNames = [...]string{
	"ok", "duplicate", "invalid", "cluster not initialized", "session not open", "unknown topic or partition",
	"topic exists", "topic name collides", "out of order sequence", "invalid producer epoch", "flush number reused",
	"conflict", "too many", "feature level", "stale", "not more partitions", "offset out of range",
	"unknown group", "unknown member", "illegal generation", "fenced instance id", "rebalance in progress", "stale member epoch",
	"group not empty", "unknown producer id", "producer fenced", "invalid transaction state",
}

func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}
