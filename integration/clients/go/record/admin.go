package record

import (
	"context"
	"time"
)

// Admin is what a client's administrative calls gave, for the topic that they make, change and delete, and for another
// one that holds records. Keys of maps are partitions.
type Admin struct {
	Again      int             `json:"again"`      // Kafka's error code of creating the topic twice
	Unknown    int             `json:"unknown"`    // that of describing or deleting a topic which is not there
	Partitions int             `json:"partitions"` // as listed after creation
	Grown      int             `json:"grown"`      // after more were added
	Retention  string          `json:"retention"`  // retention.ms, as described
	Altered    string          `json:"altered"`    // the same after it was altered
	Brokers    int             `json:"brokers"`
	Controller bool            `json:"controller"` // the controller is one of them
	Gone       bool            `json:"gone"`       // the topic is not listed after its deletion
	Earliest   map[int32]int64 `json:"earliest"`   // of the other topic
	Latest     map[int32]int64 `json:"latest"`
	At         map[int32]int64 `json:"at"` // the first offsets at or after a time; -1 where there is none
}

// What the topic is made with, and changed to.
const (
	FirstPartitions = 3
	MorePartitions  = 5
	FirstRetention  = "3600000"
	NextRetention   = "7200000"
)

// Until asks again while done says no, for a minute: a broker may hear a little later than another of what was
// changed, Apache Kafka's even than the controller that answered. What is seen last is what counts, so that it ends is no
// error.
func Until(ctx context.Context, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}
