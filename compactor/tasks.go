package compactor

import (
	"wadi/compactor/fold"
	"wadi/compactor/gc"
	"wadi/compactor/job"
	"wadi/compactor/keycompact"
	"wadi/compactor/merge"
	"wadi/compactor/retention"
)

// allShards is what a task needs that works on partitions: any shard will do.
const allShards = Jobs(1)<<job.Shards - 1

// parallel is how many reads of a task are under way at a time.
const parallel = 4

// tasks makes the tasks, in the order of their turns: what one leaves behind the next ones may find.
func tasks(env *job.Env, o Options) []task {
	m := o.Metrics
	return []task{
		{merge.New(env, merge.Config{
			Memory: o.Memory, Parallel: parallel,
			Observer: merge.Observer{Output: func(s merge.Stats) { m.RangesUnreadable.Add(float64(s.Skipped)) }},
		}), allShards},
		{keycompact.New(env, keycompact.Config{Memory: o.Memory, Parallel: parallel}), allShards},
		{fold.New(env, fold.DefaultConfig()), allShards},
		{retention.New(env, retention.DefaultConfig()), allShards},
		{gc.New(env, gc.Config{
			Grace: o.Grace, KV: o.KV, Keys: o.Keys,
			Observe: gc.Observe{
				Waiting:  func(r gc.Reason, n int, _ int64) { m.GarbageWaits.WithLabelValues(string(r)).Set(float64(n)) },
				Orphans:  func(n int) { m.OrphansDeleted.Add(float64(n)) },
				Unknown:  func(n int) { m.ObjectsUnknown.Set(float64(n)) },
				Uploads:  func(n int) { m.UploadsAbandoned.Add(float64(n)) },
				Sessions: func(n int) { m.SessionsForgotten.Add(float64(n)) },
			},
		}), Jobs(0).with(gcJob)},
	}
}
