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
	Data      batch.Batch // stays unchanged until the item is resolved
	Result    Result      // set when the item is resolved

	request *Request
	pid     int64
	epoch   int16
	seq     int32
	records int32
	maxTime int64
	lane    lane
	done    bool
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

	answer, release func() // of the shell

	open     int // items without a result
	buffered int // items whose bytes are still in use
	answered bool
	index    int // in the deadline heap, -1 = not in it
}

// lane is a way to the journal.
type lane uint8

const (
	nowhere lane = iota
	inlineLane
	objectLane
)

// buffer collects items of one lane until it becomes a flush.
type buffer struct {
	items  []*Item
	bytes  int
	opened time.Duration
	parts  map[Partition]int // items per partition
	runs   int               // upper bound of producer runs, for the entry's size
}

func (b *buffer) add(now time.Duration, it *Item) {
	if len(b.items) == 0 {
		b.opened = now
		b.parts = map[Partition]int{}
	}
	b.items = append(b.items, it)
	b.bytes += len(it.Data)
	b.parts[it.Partition]++
	b.runs++
}

// entryBytes estimates, from above, what the buffer's command takes in an entry.
func (b *buffer) entryBytes() int { return 64 + len(b.parts)*20 + b.runs*30 }

// split takes items off the front until they reach a number of bytes or their entry its size; the rest stays.
func (b *buffer) split(bytes, entry int) buffer {
	var front buffer
	for i, it := range b.items {
		if i > 0 && (front.bytes+len(it.Data) > bytes || front.entryBytes() >= entry) {
			rest := b.items[i:]
			opened := b.opened
			*b = buffer{}
			for _, it := range rest {
				b.add(opened, it)
			}
			return front
		}
		front.add(b.opened, it)
	}
	*b = buffer{}
	return front
}
