package job

import "wadi/internal/rendezvous"

// Shards is how many ways the compactor's work on partitions is divided.
const Shards = 16

// shardBlock is how many neighbouring partitions of a topic are worked on together: their runs lie in the same objects.
const shardBlock = 64

// Shard is the shard that a partition belongs to, 0 to Shards-1, for ever.
func Shard(topic uint64, partition uint32) int {
	return int(rendezvous.Mix(rendezvous.Mix(topic)^uint64(partition/shardBlock)) % Shards)
}
