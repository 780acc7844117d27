// Package faultkv wraps a kv.KV for tests: it makes chosen calls fail before or after their effect, late or never, and
// chosen watch responses vanish, come twice, in the wrong order or not at all. It also writes every call down in a line
// of text, for golden transcripts.
//
// A Rule says which calls it means (an operation, a predicate on the request, the nth of those that match) and what
// happens to them. Rules are tried in the order in which they were added and the first that fires decides. What is not
// matched goes through unchanged.
//
// Faults keep within the contract, except for watch responses that are lost, repeated or swapped: etcd does not do
// that, and what is built on it must still notice.
package faultkv
