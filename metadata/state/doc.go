// Package state is Wadi's pure state machine: it applies journal entries in order and holds what they add up to.
//
// Everything here is deterministic. Time comes in as the proposer's at_ms, ids come from counters, and nothing depends
// on map order, so two replicas that applied the same entries have the same digest (see digest.go). There is no
// goroutine, clock, lock or I/O. A State is used by one goroutine at a time; whoever shares it guards it.
//
// Apply judges a command first (pure, may refuse it) and mutates then (cannot fail). A refused command did nothing.
//
// Freeze takes a snapshot in time proportional to the number of buckets, not of entries: structures are copied on their
// first change after it (see table.go). The checkpoint is written from such a snapshot while Apply goes on.
package state
