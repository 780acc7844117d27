package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/metadata/state"
)

// eachOnce makes a request's list as Apache Kafka reads it: of a partition that comes more than once the last entry
// counts, at the place of the first, and topics without partitions are left out. What is well-formed, which is next to
// everything, is returned as it is, and where partitions ascend not even remembered.
func eachOnce(topics []kmsg.FetchRequestTopic) []kmsg.FetchRequestTopic {
	topics = slices.DeleteFunc(topics, func(t kmsg.FetchRequestTopic) bool { return len(t.Partitions) == 0 })
	var twice seen[topicRef]
	repeated := false
	for i := range topics {
		t := &topics[i]
		repeated = repeated || twice.again(topicRef{name: t.Topic, id: t.TopicID}) || repeats(t.Partitions)
	}
	if !repeated {
		return topics
	}
	type ref struct {
		topic     topicRef
		partition int32
	}
	type place struct{ topic, partition int }
	first := make(map[ref]place)
	once := make([]kmsg.FetchRequestTopic, 0, len(topics))
	for _, t := range topics {
		list := t.Partitions
		t.Partitions = make([]kmsg.FetchRequestTopicPartition, 0, len(list))
		for _, p := range list {
			r := ref{topicRef{name: t.Topic, id: t.TopicID}, p.Partition}
			at, again := first[r]
			switch {
			case !again:
				first[r] = place{len(once), len(t.Partitions)}
				t.Partitions = append(t.Partitions, p)
			case at.topic == len(once):
				t.Partitions[at.partition] = p
			default:
				once[at.topic].Partitions[at.partition] = p
			}
		}
		if len(t.Partitions) > 0 {
			once = append(once, t)
		}
	}
	return once
}

func repeats(list []kmsg.FetchRequestTopicPartition) bool {
	ascending := true
	for i := 1; i < len(list) && ascending; i++ {
		ascending = list[i-1].Partition < list[i].Partition
	}
	if ascending {
		return false
	}
	var twice seen[int32]
	for i := range list {
		if twice.again(list[i].Partition) {
			return true
		}
	}
	return false
}

// badIsolation refuses an isolation level that nobody has: it may ask for more than is known here, so reading
// uncommitted would not do. The code is Apache Kafka's, the only one for a bad request that clients of Fetch know
// (Semantics line 36). From version 13 on no partitions are listed beside an error of the whole.
func badIsolation(version int16, body *kmsg.FetchRequest) *fetchReply {
	bad := kerr.UnknownServerError.Code
	reply := &fetchReply{version: version, code: bad, sessionID: body.SessionID}
	if version >= 13 {
		return reply
	}
	for _, t := range eachOnce(body.Topics) {
		out := fetchedTopic{name: t.Topic, id: state.TopicID(t.TopicID), parts: make([]fetchedPartition, len(t.Partitions))}
		for i := range t.Partitions {
			out.parts[i] = fetchedPartition{
				index: t.Partitions[i].Partition, code: bad, highWatermark: -1, lastStable: -1, logStart: -1, listAborted: true,
			}
		}
		reply.topics = append(reply.topics, out)
	}
	return reply
}
