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
//	go test -v -timeout 2h ./integration/checker -args -soak 30m          runs for that long
//	go test -v -timeout 2h -run Mutations ./integration/checker -args -mutations
package checker
