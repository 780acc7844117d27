package kafkatools

// steps are run in this order on a fresh cluster. A name is part of file names.
func steps() []step {
	var list []step
	for _, part := range [][]step{topicSteps, recordSteps, configSteps, describeSteps, adminSteps, groupSteps, transactionSteps} {
		list = append(list, part...)
	}
	return list
}

const server = " --bootstrap-server $SERVER"

var topicSteps = []step{
	{name: "topics list nothing", tool: "kafka-topics", args: "--list" + server},
	{name: "topics create", tool: "kafka-topics", args: "--create --topic a --partitions 3 --replication-factor 1" + server},
	{name: "topics create defaults", tool: "kafka-topics", args: "--create --topic defaults" + server},
	{name: "topics create with configs", tool: "kafka-topics", args: "--create --topic configured --partitions 1 --config retention.ms=1000 --config cleanup.policy=compact" + server},
	{name: "topics create assigned", tool: "kafka-topics", args: "--create --topic assigned --replica-assignment $NODE,$NODE" + server},
	{name: "topics create again", tool: "kafka-topics", args: "--create --topic a --partitions 3" + server},
	{name: "topics create if not exists", tool: "kafka-topics", args: "--create --if-not-exists --topic a" + server},
	{name: "topics create bad name", tool: "kafka-topics", args: "--create --topic a/b" + server},
	{name: "topics create dots", tool: "kafka-topics", args: "--create --topic a.b_c" + server},
	{name: "topics create collision", tool: "kafka-topics", args: "--create --topic a_b.c" + server},
	{name: "topics create no partitions", tool: "kafka-topics", args: "--create --topic zero --partitions 0" + server},
	{name: "topics create factor 0", tool: "kafka-topics", args: "--create --topic zero --replication-factor 0" + server},
	{name: "topics create factor 2", tool: "kafka-topics", args: "--create --topic two --replication-factor 2" + server},
	{name: "topics delete factor 2", tool: "kafka-topics", args: "--delete --if-exists --topic two" + server},
	{name: "topics create bad config", tool: "kafka-topics", args: "--create --topic bad --config retention.ms=x" + server},
	{name: "topics create unknown config", tool: "kafka-topics", args: "--create --topic bad --config no.such=x" + server},
	{name: "topics create bad value", tool: "kafka-topics", args: "--create --topic bad --config cleanup.policy=zip" + server},
	{name: "topics list", tool: "kafka-topics", args: "--list" + server},
	{name: "topics list pattern", tool: "kafka-topics", args: "--list --topic a.*" + server},
	{name: "topics list exclude", tool: "kafka-topics", args: "--list --exclude-internal" + server},
	{name: "topics describe", tool: "kafka-topics", args: "--describe --topic a" + server},
	{name: "topics describe all", tool: "kafka-topics", args: "--describe" + server},
	{name: "topics describe overrides", tool: "kafka-topics", args: "--describe --topics-with-overrides" + server},
	{name: "topics describe under replicated", tool: "kafka-topics", args: "--describe --under-replicated-partitions" + server},
	{name: "topics describe unavailable", tool: "kafka-topics", args: "--describe --unavailable-partitions" + server},
	{name: "topics describe at min isr", tool: "kafka-topics", args: "--describe --at-min-isr-partitions" + server},
	{name: "topics describe under min isr", tool: "kafka-topics", args: "--describe --under-min-isr-partitions" + server},
	{name: "topics describe unknown", tool: "kafka-topics", args: "--describe --topic nowhere" + server},
	{name: "topics describe unknown if exists", tool: "kafka-topics", args: "--describe --if-exists --topic nowhere" + server},
	{name: "topics describe unknown id", tool: "kafka-topics", args: "--describe --topic-id AAAAAAAAAAAAAAAAAAAAAQ" + server},
	{name: "topics alter", tool: "kafka-topics", args: "--alter --topic a --partitions 5" + server},
	{name: "topics alter down", tool: "kafka-topics", args: "--alter --topic a --partitions 2" + server},
	{name: "topics alter same", tool: "kafka-topics", args: "--alter --topic a --partitions 5" + server},
	{name: "topics alter unknown", tool: "kafka-topics", args: "--alter --topic nowhere --partitions 5" + server},
	{name: "topics alter assigned", tool: "kafka-topics", args: "--alter --topic defaults --partitions 2 --replica-assignment $NODE,$NODE" + server},
	{name: "topics describe altered", tool: "kafka-topics", args: "--describe --topic a|defaults" + server},
	{name: "topics delete", tool: "kafka-topics", args: "--delete --topic assigned" + server},
	{name: "topics delete unknown", tool: "kafka-topics", args: "--delete --topic nowhere" + server},
	{name: "topics delete unknown if exists", tool: "kafka-topics", args: "--delete --if-exists --topic nowhere" + server},
	{name: "topics list after", tool: "kafka-topics", args: "--list" + server},
	{name: "topics no action", tool: "kafka-topics", args: server},
	{name: "topics two actions", tool: "kafka-topics", args: "--list --describe" + server},
}
