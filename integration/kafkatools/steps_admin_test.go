package kafkatools

var describeSteps = []step{
	{name: "api versions", tool: "kafka-broker-api-versions", args: server},
	{name: "log dirs", tool: "kafka-log-dirs", args: "--describe --topic-list a,configured" + server},
	{name: "log dirs of a broker", tool: "kafka-log-dirs", args: "--describe --broker-list $NODE --topic-list a" + server},
	{name: "log dirs of an unknown broker", tool: "kafka-log-dirs", args: "--describe --broker-list 4711" + server},
	{name: "cluster id", tool: "kafka-cluster", args: "cluster-id" + server},
	{name: "cluster endpoints", tool: "kafka-cluster", args: "list-endpoints" + server},
	{name: "features", tool: "kafka-features", args: server + " describe"},
	{name: "quorum", tool: "kafka-metadata-quorum", args: server + " describe --status"},
}

var adminSteps = []step{
	{name: "election", tool: "kafka-leader-election", args: "--election-type preferred --topic a --partition 0" + server},
	{name: "election unknown topic", tool: "kafka-leader-election", args: "--election-type preferred --topic nowhere --partition 0" + server},
	{name: "election unclean", tool: "kafka-leader-election", args: "--election-type unclean --topic a --partition 0" + server},
	{name: "election all", tool: "kafka-leader-election", args: "--election-type preferred --all-topic-partitions" + server},
	{name: "reassign list", tool: "kafka-reassign-partitions", args: "--list" + server},
	{name: "reassign generate", tool: "kafka-reassign-partitions", args: "--generate --broker-list $NODE --topics-to-move-json-file $FILE" + server,
		file: `{"topics":[{"topic":"a"}],"version":1}`},
	{name: "reassign execute", tool: "kafka-reassign-partitions", args: "--execute --reassignment-json-file $FILE" + server,
		file: `{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[$NODE]}]}`},
	{name: "reassign verify", tool: "kafka-reassign-partitions", args: "--verify --reassignment-json-file $FILE" + server,
		file: `{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[$NODE]}]}`},
	{name: "reassign unknown broker", tool: "kafka-reassign-partitions", args: "--execute --reassignment-json-file $FILE" + server,
		file: `{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[4711]}]}`},
	{name: "acls list", tool: "kafka-acls", args: "--list" + server},
	{name: "acls add", tool: "kafka-acls", args: "--add --allow-principal User:a --operation Read --topic a" + server},
	{name: "client metrics list", tool: "kafka-client-metrics", args: "--list" + server, settles: true}, // Settle's, for a moment
}

var groupSteps = []step{
	{name: "groups list nothing", tool: "kafka-groups", args: "--list" + server},
	{name: "consumer groups list nothing", tool: "kafka-consumer-groups", args: "--list" + server},
	{name: "consumer groups describe unknown", tool: "kafka-consumer-groups", args: "--describe --group nobody" + server},
	{name: "consumer groups delete unknown", tool: "kafka-consumer-groups", args: "--delete --group nobody" + server},
	{name: "consume in a group", tool: "kafka-console-consumer", args: "--topic v --group g --from-beginning --max-messages 5 --timeout-ms 60000 --command-property auto.commit.interval.ms=10" + server},
	{name: "consumer groups list", tool: "kafka-consumer-groups", args: "--list" + server},
	{name: "consumer groups list states", tool: "kafka-consumer-groups", args: "--list --state" + server},
	{name: "groups list", tool: "kafka-groups", args: "--list" + server},
	{name: "consumer groups describe", tool: "kafka-consumer-groups", args: "--describe --group g" + server, settles: true},
	{name: "consumer groups describe members", tool: "kafka-consumer-groups", args: "--describe --members --verbose --group g" + server},
	{name: "consumer groups describe state", tool: "kafka-consumer-groups", args: "--describe --state --group g" + server},
	{name: "consumer groups reset dry run", tool: "kafka-consumer-groups", args: "--reset-offsets --to-earliest --group g --topic v --dry-run" + server},
	{name: "consumer groups reset", tool: "kafka-consumer-groups", args: "--reset-offsets --shift-by -2 --group g --topic v --execute" + server},
	{name: "consumer groups reset latest", tool: "kafka-consumer-groups", args: "--reset-offsets --to-latest --group g --all-topics --execute" + server},
	{name: "consumer groups reset to a time", tool: "kafka-consumer-groups", args: "--reset-offsets --to-datetime 2023-11-14T22:13:20.000 --group g --topic v --execute" + server},
	{name: "consumer groups reset to an offset", tool: "kafka-consumer-groups", args: "--reset-offsets --to-offset 99999 --group g --topic v --execute" + server},
	{name: "consumer groups reset unknown topic", tool: "kafka-consumer-groups", args: "--reset-offsets --to-earliest --group g --topic nowhere --execute" + server},
	{name: "consumer groups describe after", tool: "kafka-consumer-groups", args: "--describe --group g" + server},
	{name: "consumer groups delete offsets", tool: "kafka-consumer-groups", args: "--delete-offsets --group g --topic v" + server},
	{name: "consumer groups delete", tool: "kafka-consumer-groups", args: "--delete --group g" + server},
	{name: "consumer groups list after", tool: "kafka-consumer-groups", args: "--list" + server},
	{name: "consumer perf", tool: "kafka-consumer-perf-test", args: "--topic r --messages 1000 --timeout 60000 --group p" + server},
}
