// Package sim runs whole clusters in virtual time, bit for bit repeatable from a seed. One event loop steps the cores of
// three agents (view, session, ingest, checkpoint), and producers and readers, over the state of one etcd (memkv.Store)
// and a map of objects. A seeded generator decides everything: latencies, crashes, pauses beyond the lease's life,
// requests and answers that are lost or come late, watch batches that are lost, repeated or late, expired leases, an etcd
// or a bucket that does not answer, compactions.
//
// What must hold is checked all along against a log of its own (oracle.go), which reads the journal as it is written and
// knows every batch that a producer ever sent: nothing acknowledged is lost, nothing is doubled, order is kept, no offset
// has two values, an answer that promises "not proposed" is true, all replicas have one digest, what a checkpoint holds is
// what State was; a log start moves as it was told, never back, and what it leaves is swept. After the faults stop, everything must be answered and archived within a bounded time.
//
// Code that blocks in production (journal.Append, checkpoint.Steps, view.Read) runs here too: as a coroutine that hands
// control back to the loop at each call to etcd or the bucket. Nothing runs at the same time as anything else.
//
//	go test ./integration/sim -run TestSeeds -seeds 5000 -start 1     a soak
//	go test ./integration/sim -run TestSeeds -seed 17 -v              one run with its trace
//	go test ./integration/sim -run TestMutations -mutations           does it find planted defects?
package sim
