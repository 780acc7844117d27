// Package clients holds the tests that run unmodified Kafka clients (kcat, Python's confluent-kafka, Java's
// kafka-clients, franz-go, sarama, segmentio/kafka-go, KafkaJS) against the built binary: against `wadi dev`, and
// against `wadi agent` on MinIO with an etcd process of its own. Whatever one client writes, every client must read
// back, byte for byte.
//
// The programs for Python, Java, JavaScript, and for sarama and kafka-go, lie in python/, java/, js/ and go/ (a module of
// its own: Wadi requires neither); they take records on stdin (see Record.line) and print JSON lines. WADI_BOOTSTRAP=host:port
// runs the same tests against a broker that already runs, Apache Kafka included: that is how to find out whether a test
// asks for more than Kafka gives.
//
// Beyond the matrix: what the clients' administrative calls make of a topic; sarama for brokers of older versions; a
// KafkaTemplate of Spring; and consumer groups, whose members are processes that tests give orders and kill
// (member_test.go), by the classic protocol with eight clients, and by the consumer protocol (KIP-848) with the two that
// speak it. A test of APIs that the broker does not serve skips itself and names them.
//
// Transactions: programs in Python and Java hold producers that do what a test orders, step by step (transact_test.go);
// what then becomes of transactions, and what the clients show when they fail, is in transactions_test.go. A mixture of
// transactions of several producers is read at both isolation levels by every client that has them (isolation_test.go),
// and franz-go's GroupTransactSession carries records from topic to topic (session_test.go). kafka-clients and franz-go
// speak version 2 of the transaction protocol (KIP-890), librdkafka, and franz-go to a broker of 3.9, version 1.
//
// KafkaJS compresses lz4 and zstd with lz4-napi and zstd-codec: the packages made for it compile native code while they
// are installed. It reads by assignment with the parts of its consumer, which itself always belongs to a group.
//
// To add a client: a type with the methods of Client, its programs in a folder here, what they need in .ci/install.sh,
// and a place in the list of clients. What it cannot say or show stands in its methods sayable and shows.
package clients
