package compactor

import "wadi/compactor/job"

// allShards is that a task works on partitions: any shard will do.
const allShards = Jobs(1)<<job.Shards - 1

// tasks makes the tasks, in the order of their turns.
func tasks(env *job.Env, o Options) []task {
	return nil
}
