// Package clients holds the tests that run unmodified Kafka clients in four languages (kcat, Python's confluent-kafka,
// Java's kafka-clients, franz-go) against the built binary: against `wadi dev`, and against `wadi agent` on MinIO with
// an etcd process of its own. Whatever one client writes, every client must read back, byte for byte.
//
// The programs for Python and Java lie in python/ and java/; they take records on stdin (see Record.line) and print
// JSON lines. WADI_BOOTSTRAP=host:port runs the same tests against a broker that already runs, Apache Kafka included:
// that is how to find out whether a test asks for more than Kafka gives.
package clients
