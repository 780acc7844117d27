// Package judge says whether a history keeps the invariants I1 to I15 and L1 to L3 (and L4 where a run tried it) of
// docs/invariants.md. Every invariant is a pure function over one index of the history, in a file of its own. The verdict
// is false when one is broken, else unknown when the run cannot tell (a planned fault never fired, nothing went well
// while it was on, an invariant that was to be judged had nothing to be judged by, a drain ran out of budget for reasons
// outside of the cluster), else true.
//
// What it does not call broken, because clients may see it on any Kafka: interleaved writes of two transactions (G0), a
// send that failed and appears, cycles that need a ww edge, and what a client of transaction version 1 is exposed to when
// a request of one transaction arrives in the next one (KAFKA-17754): such a client's transactions are to be left out of
// a history in which requests are held back.
package judge
