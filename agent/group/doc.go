// Package group coordinates consumer groups: who is a member, which generation is on, who got which partitions.
//
// An agent coordinates the groups that rendezvous hashing gives it. That is for order, not for safety: two agents may
// both believe to coordinate a group for a while. What members are told is State first, and State takes a change of a
// group only at the version that its proposer knows, so one of the two gets nowhere, forgets what it held, and answers
// NOT_COORDINATOR.
//
// Core decides for all groups of one agent and is stepped by events: requests, ticks, what came of proposals, groups
// that were loaded. It follows Kafka's classic protocol (KIP-62, KIP-134, KIP-345, KIP-394, KIP-814) step by step; what
// is different is the journal. While a change of a group is on its way there, everything else that comes for the group
// waits behind it, for a few milliseconds. Coordinator is the shell: it loads, proposes, replies and keeps the clock.
//
// What is only in memory is what a member gets over by asking again: joins of a rebalance that has not ended, ids given
// out but not used, and when each member was heard of last. A coordinator that takes a group over restores the rest and
// gives every member a whole session timeout to show up, so that moving a group starts no rebalance.
package group
