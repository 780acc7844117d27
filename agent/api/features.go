package api

import "github.com/twmb/franz-go/pkg/kmsg"

// feature is a Kafka feature (KIP-584) that every agent has finalized at its newest level. Clients switch protocol by
// it, so it may stand here only while the versions that it is about are served; a test compares.
type feature struct {
	name     string
	min, max int16
	needs    map[int16]int16 // key to the version that must be served
}

var features = []feature{
	// KIP-848.
	{"group.version", 0, 1, map[int16]int16{
		keyConsumerGroupHeartbeat: 0, keyConsumerGroupDescribe: 0, keyOffsetCommit: 9, keyOffsetFetch: 9, keyListGroups: 5,
	}},
	// KIP-890: transactions whose producers get a new epoch with each, and need not register partitions.
	{"transaction.version", 0, 2, map[int16]int16{
		keyProduce: 12, keyInitProducerID: 5, keyAddPartitionsToTxn: 5, keyAddOffsetsToTxn: 4, keyEndTxn: 5, keyTxnOffsetCommit: 5,
	}},
}

// featuresEpoch rises when the list above changes: clients believe the newest one that they have seen.
const featuresEpoch = 1

// stateFeatures fills in what versions 3 and later say of features. Old clients do not read one whose lowest level is
// 0, so only version 4 has those among the supported ones (KAFKA-17492).
func stateFeatures(version int16, resp *kmsg.ApiVersionsResponse) {
	if version < 3 {
		return
	}
	resp.FinalizedFeaturesEpoch = featuresEpoch
	for _, f := range features {
		if f.min > 0 || version >= 4 {
			x := kmsg.NewApiVersionsResponseSupportedFeature()
			x.Name, x.MinVersion, x.MaxVersion = f.name, f.min, f.max
			resp.SupportedFeatures = append(resp.SupportedFeatures, x)
		}
		x := kmsg.NewApiVersionsResponseFinalizedFeature()
		x.Name, x.MinVersionLevel, x.MaxVersionLevel = f.name, f.max, f.max
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, x)
	}
}
