// Package checker runs clients of every kind against a cluster while faults are on, records what each of them knows
// (package history), and judges it (package judge): I1 to I15 and L1 to L4 of docs/invariants.md.
//
// A run is three agents on one etcd and one MinIO. The clients are franz-go's: idempotent producers, transactions that
// send and poll and abort at random, consume-transform-produce in groups, consumers by assignment and by subscription,
// fresh and lagging, of both isolations; and a producer made by hand that tries every batch at agents of its own choice.
// They reach the agents through package delay's proxies, by a line each, which can be cut (a client that crashed) and
// sent to other agents (a client that does not know what moved). At the end everything heals, is drained within a
// budget, and the whole history is judged. A history that is false is written to a file as JSON lines.
//
// The agents are `wadi agent` of a build overlay that adds package halt; nothing else differs from the product. Planted
// defects are overlays too.
//
// The seed of a run decides what clients and faults are drawn; when real processes do their part it cannot.
//
//	go test ./integration/checker                                         one run of three minutes
//	go test -v -timeout 2h -run Soak ./integration/checker -args -soak 30m
//	go test -v -timeout 2h -run Mutations ./integration/checker -args -mutations
//	go test -v -run Kafka ./integration/checker -args -kafka             Apache Kafka, to check the checker
//	go test -v -run History ./integration/checker -args -history FILE    judge a history again
//
// Clients of transaction version 1 take part, but their requests are never held back: a request of one of their
// transactions that arrives in the next one is taken for a part of it, on any Kafka (KAFKA-17754). So none of what they do
// must be broken either.
package checker
