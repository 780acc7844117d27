package differential

import "slices"

const (
	oneStep  = "Wadi fences and aborts in the one step that also gives the next epoch; Apache Kafka takes an epoch for each of two"
	begins   = "State keeps when an open transaction began; nothing is running when it has ended"
	untold   = "always 0 where there is an end to tell of, and not told while the next transaction is open"
	adminEnd = "a marker from an administrator aborts the whole transaction and fences its producer, so that none is torn; Apache Kafka ends it on the partition and leaves the id as it was"
	nowhere  = "Wadi ends transactions only where there is one; Apache Kafka writes a marker for whoever says so"
	atMarker = "positions of a transaction count from its end (Semantics line 66); Apache Kafka orders them by when they were sent"
)

// sometimes lists differences that have a reason and depend on what happens within Apache Kafka at that moment.
var sometimes = []excuse{
	{26, "overdue/EndTxn #*", "ErrorCode", "48*", "90*", "Semantics line 79 and KAFKA-20785: who commits what was aborted as overdue is fenced, and nothing else"},
}

// allowedTxn are differences in transactions.
var allowedTxn = slices.Concat([]excuse{
	{0, "transaction: *", "*.LogAppendTime", "chosen*", "-1", "as for idempotent producers"},
	{0, "transaction: sequences that begin anew/*", "*", "*", "*", "Semantics line 27: what an aborted transaction wrote is no duplicate of anything; Apache Kafka acknowledges with its offset what it does not store"},

	{22, "takes over a*/InitProducerId #1", "ProducerEpoch", "2", "1", oneStep},
	{22, "takes over a*/DescribeTransactions #2", "*.ProducerEpoch", "2", "1", oneStep},
	{22, "takes over an open transaction/Fetch #12", "*.Epoch", "3", "2", oneStep},
	{22, "takes over an open transaction/Fetch #12", "*.Bytes", "*", "*", oneStep},
	{26, "fenced/*", "*.ProducerEpoch", "2", "1", oneStep},
	{65, "states/DescribeTransactions #8", "*.ProducerEpoch", "3", "2", oneStep},
	{-1, "*", "TransactionStates{*}.StartTimestamp", "now", "-1", begins},

	{61, "transactions/*", "*.LastTimestamp", "chosen*", "now", "as above"},
	{61, "epochs*", "*.LastTimestamp", "chosen*", "now", "as above"},
	{61, "transactions/*", "*.CoordinatorEpoch", "0", "-1", untold},
	{61, "epochs*", "*.CoordinatorEpoch", "0", "-1", untold},
	{61, "epochs*/DescribeProducers #6", "*.ProducerEpoch", "4", "3", oneStep},

	{24, "nothing/DescribeTransactions #3", "*.State", `"Ongoing"`, `"Empty"`, "a transaction begins with something to end: its first partition, group or batch"},
	{24, "nothing/brief*", "", "no answer", "answered", "Apache Kafka never answers an empty batch"},
	{24, "batches/AddPartitionsToTxn #4", "Transactions{x #2}*", "*", "*", "Apache Kafka answers the same transactional id twice with the partitions of the first"},
	{25, "groups/AddOffsetsToTxn #1", "ErrorCode", "0", "24*", "a group needs a name; Apache Kafka says so at TxnOffsetCommit"},

	{26, "of a topic deleted since/Fetch #2", "*.HighWatermark", "1", "0", noMarker},
	{26, "of a topic deleted since/Fetch #2", "*.LastStableOffset", "1", "0", noMarker},
	{26, "of a topic deleted since/Fetch #2", "*.RecordBatches[0]", "present", absent, noMarker},

	{28, "beside other commits/OffsetFetch*", "*.Offset", "3", "*", atMarker},
	{28, "strangers/unknown id #12", "*.ErrorCode", "0", "49*", "Apache Kafka looks at the transactional id only until it has seen the group in the transaction"},
	{28, "strangers/empty id #13", "*.ErrorCode", "0", "42*", "as above"},
	{27, "abort what is open/DescribeProducers*", "*.ProducerEpoch", "0", "1", adminEnd},
	{27, "abort what is open/DescribeProducers*", "*.LastSequence", "0", "-1", adminEnd},
	{27, "unknown partitions/DescribeProducers*", "*.ProducerEpoch", "0", "1", adminEnd},
	{27, "unknown partitions/DescribeProducers*", "*.LastSequence", "0", "-1", adminEnd},
}, markers("abort what is open", "DescribeTransactions", "EndTxn", "Fetch"),
	markers("commit what is open", "commits", "Fetch", "DescribeProducers"),
	markers("epochs", "fails", "DescribeTransactions"),
	markers("coordinators' epochs", "DescribeTransactions", "Fetch", "DescribeProducers"),
	markers("nothing is open", "fails", "Fetch", "DescribeProducers"),
	markers("unknown partitions", "DescribeTransactions", "Fetch"),
	markers("several", "commits", "Fetch", "DescribeProducers"))

const noMarker = "Semantics line 82: a marker never goes into the topic that took the place of a deleted one"

// markers is what WriteTxnMarkers does where its whole transaction ends, or nothing does: where that shows.
func markers(at string, where ...string) (list []excuse) {
	for _, step := range where {
		x := excuse{27, at + "/" + step + "*", "*", "*", "*", adminEnd}
		switch step {
		case "commits":
			x = excuse{27, at + "/WriteTxnMarkers*", "*.ErrorCode", "0", "48*", "only the producer itself commits its transaction: " + adminEnd}
		case "fails":
			x = excuse{27, at + "/WriteTxnMarkers*", "*.ErrorCode", "-1*", "*", garbage}
		case "EndTxn":
			x.path, x.kafka, x.wadi = "ErrorCode", "0", "90*"
		case "Fetch", "DescribeProducers":
			x.why = nowhere
		}
		list = append(list, x)
	}
	return list
}
