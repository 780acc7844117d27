// Package history holds what clients of a cluster, and who disturbs it, know of a run: attempts, acknowledgements, reads,
// ends of transactions, committed offsets, owners, faults, each a fact of its own with a logical and a monotonic time. It
// is data alone: package judge says what it amounts to, and package plain is a shorter way to record loads without
// transactions. The tests of all three are here.
//
// An attempt that has neither Ack nor Fail may appear in a log or not, at any time. Values are unique over a history: a
// read finds its attempt by its value.
package history
