package differential

import (
	"fmt"
	"slices"
)

// allowed lists the differences between Apache Kafka and Wadi that have a reason. One that does not occur any more fails
// the test, and so does a new one.
var allowed = slices.Concat(allowedServed, allowedProduce, allowedRead, allowedTopics, allowedElsewhere, allowedConfigs)

// unserved are APIs that Apache Kafka lists and Wadi does not.
func unserved(why string, keys ...int) []excuse {
	var list []excuse
	for _, key := range keys {
		list = append(list, excuse{18, "what is served/*", fmt.Sprintf("ApiKeys{%d}", key), "present", absent, why})
	}
	return list
}

var allowedServed = slices.Concat(
	unserved("transactions are not served yet", 24, 25, 26, 27, 28, 65, 66),
	unserved("share groups are not served yet", 76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92),
	unserved("streams groups are not served yet", 88, 89),
	unserved("there is no authentication yet", 17, 36, 38, 39, 40, 41, 51),
	unserved("quotas cannot be set yet", 49),
	unserved("there are no KRaft controllers to describe or change", 55, 57, 64, 80, 81),
	[]excuse{
		{18, "what is served/*", "FinalizedFeaturesEpoch", "*", "-1", "a counter of KRaft's; -1 is unknown"},
		{18, "what is served/*", "SupportedFeatures", "*", "none", "features of KRaft's; transaction.version and group.version come with their APIs (Semantics line 4)"},
		{18, "what is served/*", "FinalizedFeatures", "*", "none", "as above"},
	},
)

const (
	words    = "Wadi says in words what is wrong where Apache Kafka leaves clients with the code"
	garbage  = "Apache Kafka fails by accident (UNKNOWN_SERVER_ERROR); Wadi says what is wrong"
	stricter = "Apache Kafka stores what it will serve to consumers as it came; Wadi refuses what is malformed"
)

var allowedProduce = slices.Concat([]excuse{
	{0, "*", "*ErrorMessage", "null", "words", words},
	{0, "null for records/*", "", "no answer", "answered", "Apache Kafka never answers (a NullPointerException in its handler)"},

	{0, "acks/timeout *", "*.ErrorCode", "0", "7 REQUEST_TIMED_OUT", "without replicas Apache Kafka waits for nobody; Wadi waits for its journal, which takes longer than no time"},
	{0, "acks/timeout *", "*.BaseOffset", "*", "-1", "as above"},
	{0, "acks/timeout *", "*.LogStartOffset", "0", "-1", "as above"},

	{0, "twice the same partition/*", "*#2}", absent, "present", "Apache Kafka stores the last of two batches for one partition and forgets the first; Wadi stores the first and refuses the second in words"},
	{0, "twice the same partition/read back*", "*", "*\"k\"=*", "*\"k\"=*", "as above"},

	{0, "codecs unknown or broken/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "*", garbage},
	{0, "compressed with wrong counts/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "87 INVALID_RECORD", garbage},
	{0, "bad batches/length huge*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "87 INVALID_RECORD", garbage},

	{0, "timestamps in headers/read back: timestamp negative*", "*.MaxTimestamp", "-1", "-5", "Apache Kafka takes -1 (none) for the greatest of negative timestamps"},

	{0, "idempotent:*", "*.LogAppendTime", "chosen*", "-1", "Apache Kafka answers a duplicate with its create time as append time, which makes clients report one time for all records"},
}, refused("bad batches/*bytes over*", "Apache Kafka drops bytes behind the batch without a word"),
	refused("bad batches/*delete horizon*", stricter),
	refused("bad batches/*log append time set by the client*", stricter),
	refused("records/*offset delta*", "Apache Kafka does not look at the offset deltas of uncompressed records; consumers would get wrong offsets (Semantics line 16)"),
	refused("compressed with wrong counts/*", "Apache Kafka ignores bytes behind a gzip stream"),
	refused("idempotent: negative epoch/*", stricter),
	refused("idempotent: ids that nobody gave out/*", "Apache Kafka takes ids below -1 for none; Wadi refuses them"),
	refused("idempotent: first sequence not 0/*", unseen),
	refused("idempotent: end of the numbers/*", unseen),
	refused("idempotent: over the end of the numbers/*", unseen),
	[]excuse{
		{0, "idempotent: first sequence not 0/*", "*.ErrorCode", "45*", "0", unseen},
		{0, "idempotent: first sequence not 0/*", "*.BaseOffset", "-1", "0", unseen},
		{0, "idempotent: first sequence not 0/read back*", "*RecordBatches[0]*", "*", "*", unseen},
		{0, "idempotent: end of the numbers/*", "*.BaseOffset", "2", "0", unseen},
		{0, "idempotent: end of the numbers/read back*", "*RecordBatches[0]*", "*", "*", unseen},
		{0, "idempotent: negative epoch/*", "*.ErrorCode", "47*", "87*", stricter},
	},
)

const unseen = "a producer that is unknown to a partition starts at sequence 0: DESIGN section 4, a lost batch is not taken for an expired producer"

// refused is what a batch that only Apache Kafka stores looks like.
func refused(at, why string) []excuse {
	return []excuse{
		{0, at, "*.ErrorCode", "0", "*", why},
		{0, at, "*.BaseOffset", "*", "-1", why},
		{0, at, "*HighWatermark", "*", "*", why},
		{0, at, "*LastStableOffset", "*", "*", why},
		{0, at, "*RecordBatches*", "*", "*", why},
	}
}

var allowedRead = []excuse{
	{3, "ids/*", "Brokers", "none", "a list", "where one entry has an id before version 12, Apache Kafka fails the whole request and names no broker"},
	{3, "ids/*", "ClusterID", "null", "*", "as above"},
	{3, "ids/*", "ControllerID", "-1", "self", "as above"},
	{3, "ids/*", "Topics{b}*", "*", "*", "as above; from version 12 on it answers only the ids where some entries have one, Wadi answers all"},
	{3, "ids/*", "Topics{a #2}", "present", absent, "as above: what comes twice is listed once by both otherwise"},
	{3, "neither name nor id/*", "*", "*", "*", "no client asks for nothing; Apache Kafka fails the whole request by accident"},
	{23, "epochs/*", "*", "*", "-1", "epochs below -1: Apache Kafka answers the epoch asked for, Wadi none"},
}

var allowedTopics = []excuse{
	{19, "bad sizes/*", "Topics{fc}*", "*", "*", "replication factor 2 on one node: Wadi takes 1 to 3, as replicas are only names for agents (DESIGN section 6)"},
}

var allowedElsewhere = []excuse{
	{10, "*", "NodeID", "0", "self", "not on the wire from version 4 on, and Wadi's node is number 0"},
}
