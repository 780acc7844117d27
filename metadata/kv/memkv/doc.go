// Package memkv is etcd's data model in memory, in two layers.
//
// Store is the model itself: revisions, guarded transactions, leases, compaction, watch history, quota. It is a plain
// synchronous data structure: no goroutine, no lock, no clock (time is an argument), no dependence on map order. The
// simulator drives it directly and replays bit for bit.
//
// KV is kv.KV over a Store: a mutex, a clock, a timer for the leases and one goroutine per watch. It runs under
// testing/synctest.
//
// What etcd does and a reader may not expect is kept on purpose: a transaction that changes nothing takes no revision;
// all ops of a transaction share one; a get in a transaction sees the writes before it; a put detaches the key from its
// former lease; an expired lease deletes its keys in one revision; the file size never shrinks without Defrag, so that
// NOSPACE outlives a compaction.
package memkv
