// Package compactor works on what is stored: its tasks merge flushes, fold old runs into manifests, trim what is over its
// retention, compact by key, and delete what nothing needs (packages below). This package runs them.
//
// Processes share the work by jobs: 16 shards of all partitions, and the bucket's garbage. Who has which job follows from
// the list of live sessions with the role (rendezvous hashing); a key in etcd on the session's lease makes it exclusive.
// That saves work and decides nothing: State judges every command against what is there when it lands, so two processes
// that work on the same partition, for the moment in which the list changes, cost work and nothing else.
//
// Holding and Turns decide, stepped by events; Compactor is the shell around them. Within a process one task works at a
// time, in turns: objects of a session are introduced in the order of their numbers.
package compactor
