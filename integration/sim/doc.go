// Package sim runs whole clusters in virtual time, bit for bit repeatable from a seed. One event loop steps the cores of
// three agents (view, session, ingest, checkpoint, coordinator of groups), producers, readers and members of groups, over
// the state of one etcd (memkv.Store) and a map of objects. A seeded generator decides everything: latencies, crashes,
// pauses beyond the lease's life, requests and answers that are lost or come late, watch batches that are lost, repeated or
// late, expired leases, an etcd or a bucket that does not answer, compactions.
//
// What must hold is checked all along against a log of its own (oracle.go), which reads the journal as it is written and
// knows every batch that a producer ever sent: nothing acknowledged is lost, nothing is doubled, order is kept, no offset
// has two values, an answer that promises "not proposed" is true, all replicas have one digest, what a checkpoint holds is
// what State was; a log start moves as it was told, never back, and what it leaves is swept. After the faults stop,
// everything must be answered and archived within a bounded time.
//
// Groups of both protocols (member.go) have members that crash without a word, pause for longer than their sessions, leave,
// come back, are slow to give partitions up, and lose requests and answers; coordinators move as agents die, drain and are
// cut off. The oracle reads the groups' commands on its own (oracle_groups.go): what a member is told is State before, a
// partition has one owner in a generation or epoch and goes to nobody before it is given up, who answers has its lease, no
// acknowledged commit is lost and no offset goes back but by its owner (I12, I13). In the end each group has the members
// that live, each partition has an owner, and restarting an agent makes nobody rebalance.
//
// Transactional producers of both versions (teller.go) die, pause, and are run twice under one id; their requests are lost,
// held on the way and come again, late, with transactions that began meanwhile. A group copies one topic to another with
// its positions in the same transactions (copier.go), and readers take what is committed alone (reader_committed.go). The
// oracle reads the transactions' commands on its own (oracle_txns.go): an epoch is given once and judged by the
// transactional id alone, a transaction ends everywhere it was with one marker in each log, logs are stable up to the first
// record of what is open, never less than before. It knows what each client meant (oracle_clients.go): committed is what it
// asked to commit and then all of it, records and positions, nobody reads what is aborted or open, and each record is
// copied once (I5 to I7, I9, I14, I15). In the end nothing is open any more, although producers have died for good (L3).
// Of clients of version 1 some runs let requests of old transactions come into later ones of the same epoch, which nothing
// can tell (KAFKA-17754): what such an application writes is not judged any more, all else is.
//
// Each agent has a compactor too (agent_compactor.go): merges, compactions by key, folds, retention and garbage collection take
// turns, on snapshots that may be old, by leases that turn, or by none, so that several agents work on the same things.
// The oracle compares what they write with the log the moment a command names it (oracle_compactor.go, oracle_folds.go):
// the same bytes, or, of a table that is compacted by key, the records that may not go (oracle_tables.go: I16). What is
// deleted neither State nor a kept root needs, and no session is forgotten of which something is left (oracle_sessions.go);
// log starts move by time or size no further than configs of that moment say (oracle_trims.go). In the end nothing is left
// that nobody needs, partitions have few runs, and fsck finds nothing. TestEveryCall hits each call of the compactors of a
// quiet cluster once: the process is killed, the call fails, or its answer is lost.
//
// Code that blocks in production (journal.Append, checkpoint.Steps, view.Read) runs here too: as a coroutine that hands
// control back to the loop at each call to etcd or the bucket. Nothing runs at the same time as anything else.
//
//	go test ./integration/sim -run TestSeeds -seeds 5000 -start 1     a soak
//	go test ./integration/sim -run TestSeeds -seed 17 -v              one run with its trace
//	go test ./integration/sim -run TestEveryCall -calls               all calls of a compactor, not a sample
//	go test ./integration/sim -run TestMutations -mutations           does it find planted defects?
package sim
