package sim

import (
	"time"

	"wadi/agent/ingest"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// The logs that are checked have numbers here: first those of topic "orders", which everybody writes to and whose starts
// move, then those of "feed", which transactions fill and which members of a group copy to "orders", then those of
// "table", whose records have keys and are compacted.
const (
	partitions = 3 // of orders that are written to; it has more as it grows
	feeds      = 2
	tables     = 2
	logs       = partitions + feeds + tables

	firstTable = partitions + feeds
)

// isTable tells that a log is compacted by key.
func isTable(log int32) bool { return log >= firstTable }

// place is the partition that a log is.
func (w *World) place(log int32) ingest.Partition {
	if log < partitions {
		return ingest.Partition{Topic: w.orders, Index: log}
	}
	if !isTable(log) {
		return ingest.Partition{Topic: w.feed, Index: log - partitions}
	}
	return ingest.Partition{Topic: w.table, Index: log - firstTable}
}

// logOf is the log of a partition, false when it is none.
func (w *World) logOf(topic uint64, partition uint32) (int32, bool) {
	switch {
	case topic == w.orders && partition < partitions:
		return int32(partition), true
	case topic == w.feed && partition < feeds:
		return partitions + int32(partition), true
	case topic == w.table && partition < tables:
		return firstTable + int32(partition), true
	}
	return 0, false
}

func (w *World) ready() bool { return w.orders != 0 && w.feed != 0 && w.table != 0 }

// partition is a log as the agent's State has it, nil when it does not know the topic.
func (a *agent) partition(log int32) *state.Partition { return a.w.partitionIn(a.view.State(), log) }

func (w *World) partitionIn(s *state.State, log int32) *state.Partition {
	at := w.place(log)
	if t := s.TopicByNumber(at.Topic); t != nil {
		return t.Partition(at.Index)
	}
	return nil
}

// createTopic asks random agents until the topic is there: only one creation may win.
func (w *World) createTopic(name string, partitions uint32, configs []*pb.Config, number *uint64) {
	if *number != 0 {
		return
	}
	if a := w.anyAgent(); a.up && a.opened {
		a.deliver(func() {
			a.propose(&pb.Command{Base: a.view.State().Position(), Kind: &pb.Command_CreateTopic{
				CreateTopic: &pb.CreateTopic{Name: name, Partitions: partitions, Configs: configs},
			}}, func(o session.Outcome) {
				if o.Err == nil && (o.Result.Code == state.OK || o.Result.Code == state.TopicExists) {
					if n := uint64(o.Result.ID); *number != 0 && *number != n {
						w.violated("two topics of one name: %d and %d", *number, n)
					} else {
						*number = n
					}
				}
			})
		})
	}
	w.after(w.between(time.Millisecond, 100*time.Millisecond), func() { w.createTopic(name, partitions, configs, number) })
}
