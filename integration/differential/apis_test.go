package differential

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
)

// apiCases is what is asked of one API.
type apiCases struct {
	key int16
	// sample is a valid request that changes nothing in any version.
	sample func() kmsg.Request
	cases  []Case
}

// Case is a conversation that is held with both brokers.
type Case struct {
	Name string
	// From and Until bound the versions in which it is held, among those that Wadi serves. Until 0 means the newest.
	From, Until int16
	// Of picks versions between them, where the others differ in form alone and have cases of their own. Nil means all.
	Of []int16
	// Alone runs its versions one after the other: it looks at the whole cluster.
	Alone bool
	Run   func(*Script)
}

// apis lists all cases. Those that look at the whole cluster come before those that fill it.
func apis() []apiCases {
	return []apiCases{
		apiVersionsCases(),
		metadataCases(),
		produceCases(),
		fetchCases(),
		listOffsetsCases(),
		findCoordinatorCases(),
		createTopicsCases(),
		deleteTopicsCases(),
		initProducerIDCases(),
		offsetForLeaderEpochCases(),
		describeConfigsCases(),
		alterConfigsCases(),
		incrementalAlterConfigsCases(),
		listConfigResourcesCases(),
		deleteRecordsCases(),
		createPartitionsCases(),
		describeAclsCases(),
		createAclsCases(),
		deleteAclsCases(),
		alterReplicaLogDirsCases(),
		describeLogDirsCases(),
		electLeadersCases(),
		alterPartitionReassignmentsCases(),
		listPartitionReassignmentsCases(),
		describeClientQuotasCases(),
		describeUserScramCredentialsCases(),
		describeClusterCases(),
		describeProducersCases(),
		describeTopicPartitionsCases(),
		offsetCommitCases(),
		offsetFetchCases(),
		joinGroupCases(),
		heartbeatCases(),
		leaveGroupCases(),
		syncGroupCases(),
		describeGroupsCases(),
		listGroupsCases(),
		deleteGroupsCases(),
		offsetDeleteCases(),
		consumerGroupHeartbeatCases(),
		consumerGroupDescribeCases(),
		addPartitionsToTxnCases(),
		addOffsetsToTxnCases(),
		endTxnCases(),
		writeTxnMarkersCases(),
		txnOffsetCommitCases(),
		describeTransactionsCases(),
		listTransactionsCases(),
	}
}

// versions are those in which the case is held.
func (c Case) versions(key int16) (from, to int16) {
	for _, row := range api.Versions {
		if row.Key != key {
			continue
		}
		from, to = max(c.From, row.Min), row.Max
		if c.Until > 0 {
			to = min(to, c.Until)
		}
		return from, to
	}
	return 0, -1
}

// holds says whether the case is held in a version between its bounds.
func (c Case) holds(version int16) bool { return c.Of == nil || slices.Contains(c.Of, version) }

// total is the number of cases, frames included.
func total() int {
	n := 0
	for _, a := range apis() {
		n += len(frames(a)) + len(a.cases)
	}
	return n
}
