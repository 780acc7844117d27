// Package kafkatools runs Kafka's own command-line tools against Apache Kafka and Wadi, the same commands in the same
// order, and compares what they print. The tools come as Java classes (org.apache.kafka:kafka-tools and what it needs,
// brought by `go tool task install`); java/Tools.java runs them one after the other in one JVM for each broker.
//
// Steps are listed in steps_*_test.go. What differs by nature (addresses, ids, times, rates) is replaced before the
// comparison, by the rules of normal_test.go. What differs for a reason is listed in allowed_test.go and told to users
// in docs/kafka-tools.md; an entry that no step needs any more fails the test.
package kafkatools
