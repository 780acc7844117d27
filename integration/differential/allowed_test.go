package differential

import (
	"fmt"
	"slices"
)

// allowed lists the differences between Apache Kafka and Wadi that have a reason. One that does not occur any more fails
// the test, and so does a new one.
var allowed = slices.Concat(allowedServed, allowedProduce, allowedRead, allowedTopics, allowedElsewhere, allowedConfigs, allowedTxn)

// unserved are APIs that Apache Kafka lists and Wadi does not.
func unserved(why string, keys ...int) []excuse {
	var list []excuse
	for _, key := range keys {
		list = append(list, excuse{18, "what is served/*", fmt.Sprintf("ApiKeys{%d}", key), "present", absent, why})
	}
	return list
}

var allowedServed = slices.Concat(
	unserved("share groups are not served yet", 76, 77, 78, 79, 83, 84, 85, 86, 87, 90, 91, 92),
	unserved("streams groups are not served yet", 88, 89),
	unserved("there is no authentication yet", 17, 36, 38, 39, 40, 41, 51),
	unserved("quotas cannot be set yet", 49),
	unserved("there are no KRaft controllers to describe or change", 55, 57, 64, 80, 81),
	[]excuse{
		{18, "what is served/*", "FinalizedFeaturesEpoch", "*", "*", "a counter of KRaft's"},
		{18, "what is served/*", "SupportedFeatures", "a list", "none", "up to version 3 features from level 0 on cannot be told: there is none from level 1 on"},
		{18, "what is served/*", `*Features{"*"}`, "present", absent, "features of KRaft's, share and streams groups; what Wadi has of the others is compared (Semantics line 4)"},
	},
)

const (
	words    = "Wadi says in words what is wrong where Apache Kafka leaves clients with the code"
	garbage  = "Apache Kafka fails by accident (UNKNOWN_SERVER_ERROR); Wadi says what is wrong"
	stricter = "Apache Kafka stores what it will serve to consumers as it came; Wadi refuses what is malformed"
)

var allowedProduce = slices.Concat([]excuse{
	{0, "null for records/*", "", "no answer", "answered", "Apache Kafka never answers (a NullPointerException in its handler)"},

	{0, "acks/timeout *", "*.ErrorCode", "0", "7 REQUEST_TIMED_OUT", "without replicas Apache Kafka waits for nobody; Wadi waits for its journal, which takes longer than no time"},
	{0, "acks/timeout *", "*.BaseOffset", "*", "-1", "as above"},
	{0, "acks/timeout *", "*.LogStartOffset", "0", "-1", "as above"},

	{0, "twice the same partition/*", "*#2}", absent, "present", "Apache Kafka stores the last of two batches for one partition and forgets the first; Wadi stores the first and refuses the second in words"},
	{0, "twice the same partition/read back*", "*", "*\"k\"=*", "*\"k\"=*", "as above"},

	{0, "codecs unknown or broken/*", "*.LogStartOffset", "0", "-1", garbage},
	{0, "bad batches/bytes over*", "*.LogStartOffset", "0", "-1", "refused by Wadi alone, as no batch"},
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
		{0, "idempotent: end of the numbers/*", "*.BaseOffset", "2", "0", unseen},
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

const (
	known   = "Wadi tells where the log begins and ends with OFFSET_OUT_OF_RANGE (Semantics line 92)"
	whole   = "Apache Kafka cuts the last batch off at the limit, and clients drop it; Wadi returns whole batches"
	deleted = "Apache Kafka finds the greatest timestamp in deleted records too while their segment is there; Wadi never names an offset below the log start"
	// history is never truncated: DESIGN section 4.
	history = "leader epochs are always 0 and nothing ever diverges, so Wadi does not look at the last fetched epoch (Semantics line 42)"
)

var allowedRead = []excuse{
	{-1, "*", "*ErrorMessage", "null", "words", words},
	{1, "limits at nothing/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "0", "negative limits: Apache Kafka fails by accident, Wadi returns one batch as KIP-74 has it for small ones"},
	{1, "limits at nothing/*", "*.RecordBatches[0]", absent, "present", "as above"},
	{1, "last fetched epochs/*", "*", "*", "*", history},
	{1, "limits/*", "*.RecordBatches[*]", "present", absent, whole},
	{1, "replicas and racks/*", "*", "*", "*", "agents do not fetch from each other: whoever says to be a replica is served as a consumer"},
	{1, "waiting/waited*", "", "to the end", "not", "an unknown partition is answered at once; Apache Kafka lets it wait (Semantics line 34)"},
	{1, "*", "*.HighWatermark", "-1", "*", known},
	{1, "*", "*.LastStableOffset", "-1", "*", known},
	{1, "*", "*.LogStartOffset", "-1", "*", known},
	{2, "isolation/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "42 INVALID_REQUEST", garbage},
	{21, "inside a batch/ListOffsets*", "*.Offset", "0", "1", deleted},
	{21, "everything/ListOffsets*", "*", "*", "-1", deleted},
	{21, "*", "*.HighWatermark", "-1", "*", known},
	{21, "*", "*.LastStableOffset", "-1", "*", known},
	{21, "*", "*.LogStartOffset", "-1", "*", known},
	{10, "*", "*ErrorMessage", "words", "null", "Apache Kafka says NONE where there is no error"},
	{10, "*", "*ErrorMessage", "empty", "*", "Apache Kafka says nothing in a message that is there"},
	{10, "share groups/*", "Coordinators{*", "*", "*", "share groups are not served yet"},
	{18, "what is served/*", "ApiKeys{1}.MaxVersion", "18", "17", "version 18 of Fetch adds a field for followers alone"},
	{3, "ids/*", "Brokers", "none", "a list", "where one entry has an id before version 12, Apache Kafka fails the whole request and names no broker"},
	{3, "ids/*", "ClusterID", "null", "*", "as above"},
	{3, "ids/*", "ControllerID", "-1", "self", "as above"},
	{3, "ids/*", "Topics{b}*", "*", "*", "as above; from version 12 on it answers only the ids where some entries have one, Wadi answers all"},
	{3, "ids/*", "Topics{a #2}", "present", absent, "as above: what comes twice is listed once by both otherwise"},
	{3, "neither name nor id/*", "*", "*", "*", "no client asks for nothing; Apache Kafka fails the whole request by accident"},
}

var allowedTopics = []excuse{
	{19, "*", "*.TopicID", "some id", "no id", "a topic that is only checked has no id before it exists"},
	{19, "names that collide/CreateTopics #3", "Topics{a*", "*", "*", "Apache Kafka compares names with topics that exist, not with others of the request, and so creates two that collide"},
	{19, "bad sizes/*", "Topics{fc}*", "*", "*", "replication factor 2 on one node: Wadi takes 1 to 3, as replicas are only names for agents (DESIGN section 6)"},
}

var allowedElsewhere = []excuse{
	{20, "timeouts/*", "*.ErrorCode", "7 REQUEST_TIMED_OUT", "*", hurried},
	{20, "timeouts/*", "Topics{t*}.TopicID", "no id", "id of t*", hurried},
	{20, "timeouts/Metadata*", "Topics{t*", "*", "*", hurried},
	{37, "timeouts/*", "*.ErrorCode", "7 REQUEST_TIMED_OUT", "*", hurried},
	{37, "timeouts/Metadata*", "Topics{t*}.Partitions{1}", absent, "present", hurried},
	{37, "too many/*", "*.ErrorCode", "-1 UNKNOWN_SERVER_ERROR", "44 POLICY_VIOLATION", garbage},
	{75, "topics/DescribeTopicPartitions #4", "Topics{*", "*", "*", "an empty name makes Apache Kafka fail the whole request (a NullPointerException in its handler); Wadi answers each topic"},
	{61, "producers/*", "*.LastTimestamp", "chosen*", "now", "State keeps when a producer's last batch was appended, not the time of its records"},
	{45, "*", "ErrorMessage", "empty", "null", "Apache Kafka says nothing in a message that is there"},
	{11, "static members/JoinGroup #4", "*", "*", "*", "an empty instance id is none; Apache Kafka takes it for one"},
	{35, "*", "Dirs{*}.*Bytes", "some bytes", "-1", "an object store has no size"},
	{29, "*", "*", "closed", "*", unauthorized},
	{30, "*", "*", "closed", "answered", unauthorized},
	{31, "*", "*", "closed", "answered", unauthorized},
	{10, "*", "NodeID", "0", "self", "not on the wire from version 4 on, and Wadi's node is number 0"},
}

const hurried = "a timeout below 1 s counts as 1 s, so that the answer tells what became of the request; Apache Kafka gives up before it begins"

const unauthorized = "Apache Kafka closes on kinds of resources and operations that it does not know; without an authorizer Wadi does not look at them"
