// Package differential asks Apache Kafka and Wadi the same things and compares the answers field by field. One Kafka
// (package integration/kafka) and one `wadi dev` run side by side for the whole package; each case is a short
// conversation that is held with both, in every version that Wadi serves of its API, normal, boundary and bad requests
// alike. TestAgainstKafka prints every difference that nobody explained and fails.
//
// # Adding an API
//
// Write a file cases_NN_name_test.go with one function that returns an api: its key, a sample (a valid request that
// changes nothing; the malformed frames of frames_test.go are made from it) and cases; list it in apis_test.go.
// TestEveryServedVersionHasACase fails until that is done for every row of agent/api.Versions. A case is a function of a
// Script:
//
//	{Name: "unknown topic", Run: func(s *Script) { s.Ask(request(s.Unused("t"))) }}
//
// Ask sends the request in the version of the run and records the answer, "closed" included; Do is for what must work
// first and is not compared. Topics, names and producer ids come from the Script, so that runs do not meet.
//
// Apache Kafka's components learn of changes one after the other. settle_test.go gives Kafka, not Wadi, the time for that, and
// asks Kafka again where an answer differs without a reason; a case needs to wait only for what a broker does in a time of its
// own choosing (Until).
//
// # Comparing
//
// What differs by nature is given a name before it is compared (normal_test.go, each rule with its reason): ids become
// the names of what they stand for, addresses become "self", times become "now". What differs for a reason stands in
// allowed_test.go with that reason; an entry that nothing needs any more fails the test, so that the list stays true.
// allowed_txn_test.go has those of transactions, and the few that only show at times.
// Known defects wait in open_test.go: one that was mended is logged, to be struck from there.
//
// The words of error messages are not compared, only whether there are any: integration/kafkatools compares what Kafka's
// own tools print.
package differential
