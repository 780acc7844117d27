// Package semantics holds the tests of what a Kafka client sees: one for each line of docs/kafka-semantics.md that Wadi
// serves today, and for the regressions of docs/invariants.md. They speak raw requests over TCP to whole agents in this
// process, whose metadata and objects are in memory behind fault decorators.
//
// A test that enforces a line says so in its comment, as "Semantics line 16", "Semantics lines 23, 24" or "Regression
// R5". TestEveryLineIsCited keeps the list of those that must be.
package semantics
