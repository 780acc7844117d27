package kafkatools

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// leaveOpen begins a transaction on each partition of topic t, as "open" and "open2", and goes away without an end.
func leaveOpen(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for partition, id := range []string{"open", "open2"} {
		client, err := kgo.NewClient(kgo.SeedBrokers(server), kgo.TransactionalID(id), kgo.TransactionTimeout(10*time.Minute),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.BeginTransaction(); err != nil {
			return err
		}
		record := &kgo.Record{Topic: "t", Partition: int32(partition), Value: []byte(id), Timestamp: time.UnixMilli(1_700_000_000_000)}
		if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

var transactionSteps = []step{
	{name: "transactions list nothing", tool: "kafka-transactions", args: server + " list"},
	{name: "transactions topic", tool: "kafka-topics", args: "--create --topic t --partitions 2" + server},
	{name: "transactional perf", tool: "kafka-producer-perf-test", args: "--topic v --num-records 100 --record-size 10 --throughput -1 --transactional-id perf --transaction-duration-ms 60000 --producer-props bootstrap.servers=$SERVER"},
	{name: "transactions list committed", tool: "kafka-transactions", args: server + " list", settles: true},
	{name: "transactions describe committed", tool: "kafka-transactions", args: server + " describe --transactional-id perf"},
	{name: "transactions list", tool: "kafka-transactions", args: server + " list", before: leaveOpen},
	{name: "transactions list durations", tool: "kafka-transactions", args: server + " list --duration-filter 3600000"},
	{name: "transactions list running", tool: "kafka-transactions", args: server + " list --duration-filter 0"},
	{name: "transactions list pattern", tool: "kafka-transactions", args: server + " list --transactional-id-pattern o.*"},
	{name: "transactions list bad pattern", tool: "kafka-transactions", args: server + " list --transactional-id-pattern ["},
	{name: "transactions describe open", tool: "kafka-transactions", args: server + " describe --transactional-id open"},
	{name: "transactions describe unknown", tool: "kafka-transactions", args: server + " describe --transactional-id nobody"},
	{name: "transactions producers open", tool: "kafka-transactions", args: server + " describe-producers --topic t --partition 0"},
	{name: "transactions producers of a broker", tool: "kafka-transactions", args: server + " describe-producers --broker-id $NODE --topic t --partition 0"},
	{name: "transactions producers none", tool: "kafka-transactions", args: server + " describe-producers --topic defaults --partition 0"},
	// describe-producers asks for the leader of an unknown topic for a minute, as fast as it can.
	{name: "transactions hanging", tool: "kafka-transactions", args: server + " find-hanging --topic t"},
	{name: "transactions hanging on a broker", tool: "kafka-transactions", args: server + " find-hanging --broker-id $NODE --max-transaction-timeout 1"},
	{name: "transactions hanging on a partition", tool: "kafka-transactions", args: server + " find-hanging --topic t --partition 0 --max-transaction-timeout 0"},
	{name: "transactions hanging unknown topic", tool: "kafka-transactions", args: server + " find-hanging --topic nowhere"},
	{name: "transactions hanging nowhere", tool: "kafka-transactions", args: server + " find-hanging"},
	{name: "transactions consume open", tool: "kafka-console-consumer", args: "--topic t --partition 0 --offset earliest --isolation-level read_committed --timeout-ms 3000" + server, settles: true},
	{name: "transactions consume all", tool: "kafka-console-consumer", args: "--topic t --partition 0 --offset earliest --timeout-ms 3000" + server, settles: true},
	{name: "transactions abort wrong offset", tool: "kafka-transactions", args: server + " abort --topic t --partition 0 --start-offset 12345"},
	{name: "transactions abort", tool: "kafka-transactions", args: server + " abort --topic t --partition 0 --start-offset 0"},
	{name: "transactions producers aborted", tool: "kafka-transactions", args: server + " describe-producers --topic t --partition 0"},
	{name: "transactions consume aborted", tool: "kafka-console-consumer", args: "--topic t --partition 0 --offset earliest --isolation-level read_committed --timeout-ms 3000" + server, settles: true},
	{name: "transactions abort again", tool: "kafka-transactions", args: server + " abort --topic t --partition 0 --start-offset 0"},
	{name: "transactions abort by epochs", tool: "kafka-transactions", args: server + " abort --topic t --partition 0 --producer-id 4711000 --producer-epoch 0 --coordinator-epoch 0"},
	{name: "transactions terminate", tool: "kafka-transactions", args: server + " forceTerminateTransaction --transactionalId open2"},
	{name: "transactions describe terminated", tool: "kafka-transactions", args: server + " describe --transactional-id open2", settles: true},
	{name: "transactions terminate unknown", tool: "kafka-transactions", args: server + " forceTerminateTransaction --transactionalId nobody"},
	{name: "transactions no command", tool: "kafka-transactions", args: server},
}
