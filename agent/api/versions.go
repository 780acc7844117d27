package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/agent/server/wire"
)

// Served is one row of what Wadi speaks. This table is the only place that states versions; a test holds the header
// comment of each NN_name.go and the ApiVersions answer against it.
type Served struct {
	Key  int16
	Name string
	// Min and Max are the versions served, AdvertisedMin is what ApiVersions states as the minimum.
	Min, Max, AdvertisedMin int16

	shape *wire.Shape
	new   func() kmsg.Request
}

// Versions lists every API in the order of keys. Minimums are those of Apache Kafka 4 (KIP-896).
//
// Produce is advertised from 0 and refused below 3: librdkafka up to 2.10 takes a higher minimum for a broker that
// cannot compress (KAFKA-18659, Semantics line 5).
var Versions = []Served{
	{0, "Produce", 3, 13, 0, produceShape, newBody[kmsg.ProduceRequest]},
	{1, "Fetch", 4, 17, 4, fetchShape, newBody[kmsg.FetchRequest]},
	{2, "ListOffsets", 1, 11, 1, listOffsetsShape, newBody[kmsg.ListOffsetsRequest]},
	{3, "Metadata", 0, 13, 0, metadataShape, newBody[kmsg.MetadataRequest]},
	{8, "OffsetCommit", 2, 10, 2, offsetCommitShape, newBody[kmsg.OffsetCommitRequest]},
	{9, "OffsetFetch", 1, 10, 1, offsetFetchShape, newBody[kmsg.OffsetFetchRequest]},
	{10, "FindCoordinator", 0, 6, 0, findCoordinatorShape, newBody[kmsg.FindCoordinatorRequest]},
	{11, "JoinGroup", 0, 9, 0, joinGroupShape, newBody[kmsg.JoinGroupRequest]},
	{12, "Heartbeat", 0, 4, 0, heartbeatShape, newBody[kmsg.HeartbeatRequest]},
	{13, "LeaveGroup", 0, 5, 0, leaveGroupShape, newBody[kmsg.LeaveGroupRequest]},
	{14, "SyncGroup", 0, 5, 0, syncGroupShape, newBody[kmsg.SyncGroupRequest]},
	{15, "DescribeGroups", 0, 6, 0, describeGroupsShape, newBody[kmsg.DescribeGroupsRequest]},
	{16, "ListGroups", 0, 5, 0, listGroupsShape, newBody[kmsg.ListGroupsRequest]},
	{18, "ApiVersions", 0, 4, 0, apiVersionsShape, newBody[kmsg.ApiVersionsRequest]},
	{19, "CreateTopics", 2, 7, 2, createTopicsShape, newBody[kmsg.CreateTopicsRequest]},
	{20, "DeleteTopics", 1, 6, 1, deleteTopicsShape, newBody[kmsg.DeleteTopicsRequest]},
	{21, "DeleteRecords", 0, 2, 0, deleteRecordsShape, newBody[kmsg.DeleteRecordsRequest]},
	{22, "InitProducerId", 0, 5, 0, initProducerIDShape, newBody[kmsg.InitProducerIDRequest]},
	{23, "OffsetForLeaderEpoch", 2, 4, 2, offsetForLeaderEpochShape, newBody[kmsg.OffsetForLeaderEpochRequest]},
	{24, "AddPartitionsToTxn", 0, 5, 0, addPartitionsToTxnShape, newBody[kmsg.AddPartitionsToTxnRequest]},
	{25, "AddOffsetsToTxn", 0, 4, 0, addOffsetsToTxnShape, newBody[kmsg.AddOffsetsToTxnRequest]},
	{26, "EndTxn", 0, 5, 0, endTxnShape, newBody[kmsg.EndTxnRequest]},
	{27, "WriteTxnMarkers", 1, 2, 1, writeTxnMarkersShape, newBody[kmsg.WriteTxnMarkersRequest]},
	{28, "TxnOffsetCommit", 0, 5, 0, txnOffsetCommitShape, newBody[kmsg.TxnOffsetCommitRequest]},
	{29, "DescribeAcls", 1, 3, 1, describeAclsShape, newBody[kmsg.DescribeACLsRequest]},
	{30, "CreateAcls", 1, 3, 1, createAclsShape, newBody[kmsg.CreateACLsRequest]},
	{31, "DeleteAcls", 1, 3, 1, deleteAclsShape, newBody[kmsg.DeleteACLsRequest]},
	{32, "DescribeConfigs", 1, 4, 1, describeConfigsShape, newBody[kmsg.DescribeConfigsRequest]},
	{33, "AlterConfigs", 0, 2, 0, alterConfigsShape, newBody[kmsg.AlterConfigsRequest]},
	{34, "AlterReplicaLogDirs", 1, 2, 1, alterReplicaLogDirsShape, newBody[kmsg.AlterReplicaLogDirsRequest]},
	{35, "DescribeLogDirs", 1, 5, 1, describeLogDirsShape, newBody[kmsg.DescribeLogDirsRequest]},
	{37, "CreatePartitions", 0, 3, 0, createPartitionsShape, newBody[kmsg.CreatePartitionsRequest]},
	{42, "DeleteGroups", 0, 2, 0, deleteGroupsShape, newBody[kmsg.DeleteGroupsRequest]},
	{43, "ElectLeaders", 0, 2, 0, electLeadersShape, newBody[kmsg.ElectLeadersRequest]},
	{44, "IncrementalAlterConfigs", 0, 1, 0, incrementalAlterConfigsShape, newBody[kmsg.IncrementalAlterConfigsRequest]},
	{45, "AlterPartitionReassignments", 0, 1, 0, alterPartitionReassignmentsShape, newBody[kmsg.AlterPartitionAssignmentsRequest]},
	{46, "ListPartitionReassignments", 0, 0, 0, listPartitionReassignmentsShape, newBody[kmsg.ListPartitionReassignmentsRequest]},
	{47, "OffsetDelete", 0, 0, 0, offsetDeleteShape, newBody[kmsg.OffsetDeleteRequest]},
	{48, "DescribeClientQuotas", 0, 1, 0, describeClientQuotasShape, newBody[kmsg.DescribeClientQuotasRequest]},
	{50, "DescribeUserScramCredentials", 0, 0, 0, describeUserScramCredentialsShape, newBody[kmsg.DescribeUserSCRAMCredentialsRequest]},
	{60, "DescribeCluster", 0, 2, 0, describeClusterShape, newBody[kmsg.DescribeClusterRequest]},
	{61, "DescribeProducers", 0, 0, 0, describeProducersShape, newBody[kmsg.DescribeProducersRequest]},
	{65, "DescribeTransactions", 0, 0, 0, describeTransactionsShape, newBody[kmsg.DescribeTransactionsRequest]},
	{66, "ListTransactions", 0, 2, 0, listTransactionsShape, newBody[kmsg.ListTransactionsRequest]},
	{68, "ConsumerGroupHeartbeat", 0, 1, 0, consumerGroupHeartbeatShape, newBody[kmsg.ConsumerGroupHeartbeatRequest]},
	{69, "ConsumerGroupDescribe", 0, 1, 0, consumerGroupDescribeShape, newBody[kmsg.ConsumerGroupDescribeRequest]},
	{74, "ListConfigResources", 0, 1, 0, listConfigResourcesShape, newBody[kmsg.ListConfigResourcesRequest]},
	{75, "DescribeTopicPartitions", 0, 0, 0, describeTopicPartitionsShape, newBody[kmsg.DescribeTopicPartitionsRequest]},
}

// newBody makes an empty request of a kmsg type.
func newBody[T any, P interface {
	*T
	kmsg.Request
	Default()
}]() kmsg.Request {
	p := P(new(T))
	p.Default()
	return p
}

// Row turns a Served into a row of the server's table.
func (s Served) Row(h server.Handler) server.API {
	return server.API{
		Key: s.Key, Name: s.Name, Min: s.Min, Max: s.Max, AdvertisedMin: s.AdvertisedMin,
		New: s.new, Shape: s.shape, Handle: h,
	}
}
