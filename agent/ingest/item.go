package ingest

import (
	"time"

	"wadi/internal/batch"
	"wadi/metadata/state"
)

// Partition names a partition by its topic's number.
type Partition struct {
	Topic uint64
	Index int32
}

// Item is one batch on its way. The first group of fields is set by the caller.
type Item struct {
	Partition Partition
	TopicID   state.TopicID
	Data      batch.Batch // stays unchanged until the request is released
	Turn      Turn        // what State said of the batch's producer a moment ago
	Result    Result      // set when the item is resolved

	request *Request
	part    *partState // while it is pending
	next    *Item      // in its partition's chain
	exp     *expectation
	pid     int64
	maxTime int64
	seq     int32
	records int32
	group   int32 // see groupProducers
	epoch   int16
	lane    lane
	txn     membership
	done    bool
}

// membership is how a batch belongs to a transaction; the numbers are those of AppendBatches.
type membership uint8

const (
	outside membership = iota
	member             // its partition must be in the transaction already
	joining            // its partition comes into the transaction with it (KIP-890)
)

// read takes over what the batch's header says, so that the bytes are not looked at again.
func (it *Item) read(r *Request) {
	it.request = r
	it.pid, it.epoch, it.seq = it.Data.ProducerID(), it.Data.ProducerEpoch(), it.Data.BaseSequence()
	it.records, it.maxTime = it.Data.NumRecords(), it.Data.MaxTimestamp()
	switch {
	case it.pid < 0:
		it.pid, it.epoch, it.seq = -1, -1, -1 // and of no transaction, whatever it says (as in Apache Kafka)
	case !it.Data.Transactional():
	case r.JoinsTxn:
		it.txn = joining
	default:
		it.txn = member
	}
}

// Result of an item. Err is nil when State judged the batch; then Code, Base, Time and LogStart are State's.
type Result struct {
	Err      error
	Code     state.Code
	Base     int64
	Time     int64
	LogStart int64
}

// Request is the batches of one Produce request.
type Request struct {
	Conn     uint64
	Items    []Item
	Deadline time.Duration // the client's timeout, on the core's clock
	// JoinsTxn: transactional batches add their partition to the transaction (KIP-890), else it must be in it.
	JoinsTxn bool

	answer, release func() // of the shell

	bytes int
	open  int // items without a result
	used  int // items whose bytes are in use
	index int // in the deadline heap, -1 = not in it
}
