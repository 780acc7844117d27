package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/agent/server"
)

const (
	keyProduce              = 0
	keyFetch                = 1
	keyListOffsets          = 2
	keyMetadata             = 3
	keyOffsetCommit         = 8
	keyOffsetFetch          = 9
	keyFindCoordinator      = 10
	keyJoinGroup            = 11
	keyHeartbeat            = 12
	keyLeaveGroup           = 13
	keySyncGroup            = 14
	keyDescribeGroups       = 15
	keyListGroups           = 16
	keyApiVersions          = 18
	keyCreateTopics         = 19
	keyDeleteTopics         = 20
	keyDeleteRecords        = 21
	keyInitProducerID       = 22
	keyOffsetForLeaderEpoch = 23
	keyAddPartitionsToTxn   = 24
	keyAddOffsetsToTxn      = 25
	keyEndTxn               = 26
	keyWriteTxnMarkers      = 27
	keyTxnOffsetCommit      = 28
	keyDescribeConfigs      = 32
	keyAlterConfigs         = 33
	keyCreatePartitions     = 37
	keyDeleteGroups         = 42
	keyOffsetDelete         = 47

	keyConsumerGroupHeartbeat = 68
	keyConsumerGroupDescribe  = 69
)

// What administrators ask, and what has no meaning here but an answer.
const (
	keyDescribeAcls                 = 29
	keyCreateAcls                   = 30
	keyDeleteAcls                   = 31
	keyAlterReplicaLogDirs          = 34
	keyDescribeLogDirs              = 35
	keyElectLeaders                 = 43
	keyIncrementalAlterConfigs      = 44
	keyAlterPartitionReassignments  = 45
	keyListPartitionReassignments   = 46
	keyDescribeClientQuotas         = 48
	keyDescribeUserScramCredentials = 50
	keyDescribeCluster              = 60
	keyDescribeProducers            = 61
	keyDescribeTransactions         = 65
	keyListTransactions             = 66
	keyListConfigResources          = 74
	keyDescribeTopicPartitions      = 75
)

// API holds the handlers.
type API struct {
	d         Deps
	effective effectives
	sessions  *fetchSessions
}

// New makes the handlers. It starts nothing.
func New(d Deps) *API {
	if d.Config.MaxFetchBytes <= 0 {
		d.Config.MaxFetchBytes = 55 << 20
	}
	if d.Config.OffsetMetadataMax <= 0 {
		d.Config.OffsetMetadataMax = 4096
	}
	if d.Config.MaxTxnTimeoutMs <= 0 {
		d.Config.MaxTxnTimeoutMs = 900_000
	}
	if d.Config.MergeDebt <= 0 {
		d.Config.MergeDebt = 20_000
	}
	d.Config.DefaultPartitions = max(1, d.Config.DefaultPartitions)
	return &API{d: d, sessions: newFetchSessions(d.Config.FetchSessions)}
}

// Table is what the server dispatches by.
func (a *API) Table() (*server.Table, error) {
	handlers := map[int16]server.Handler{
		keyProduce:         a.produce,
		keyFetch:           a.fetch,
		keyListOffsets:     server.Sync(a.listOffsets),
		keyMetadata:        server.Sync(a.metadata),
		keyFindCoordinator: server.Sync(a.findCoordinator),
		keyOffsetCommit:    a.offsetCommit,
		keyOffsetFetch:     server.Sync(a.offsetFetch),
		keyJoinGroup:       a.joinGroup,
		keyHeartbeat:       a.heartbeat,
		keyLeaveGroup:      a.leaveGroup,
		keySyncGroup:       a.syncGroup,
		keyDescribeGroups:  server.Sync(a.describeGroups),
		keyListGroups:      server.Sync(a.listGroups),
		keyDeleteGroups:    server.Sync(a.deleteGroups),
		keyOffsetDelete:    server.Sync(a.offsetDelete),

		keyConsumerGroupHeartbeat: a.consumerGroupHeartbeat,
		keyConsumerGroupDescribe:  server.Sync(a.consumerGroupDescribe),

		keyApiVersions:          ApiVersionsHandler,
		keyCreateTopics:         server.Sync(a.createTopics),
		keyDeleteTopics:         server.Sync(a.deleteTopics),
		keyDeleteRecords:        server.Sync(a.deleteRecords),
		keyInitProducerID:       server.Sync(a.initProducerID),
		keyAddPartitionsToTxn:   server.Sync(a.addPartitionsToTxn),
		keyAddOffsetsToTxn:      server.Sync(a.addOffsetsToTxn),
		keyEndTxn:               server.Sync(a.endTxn),
		keyWriteTxnMarkers:      server.Sync(a.writeTxnMarkers),
		keyTxnOffsetCommit:      server.Sync(a.txnOffsetCommit),
		keyOffsetForLeaderEpoch: server.Sync(a.offsetForLeaderEpoch),
		keyDescribeConfigs:      server.Sync(a.describeConfigs),
		keyAlterConfigs:         server.Sync(a.alterConfigs),
		keyCreatePartitions:     server.Sync(a.createPartitions),

		keyDescribeAcls:                 server.Sync(a.describeAcls),
		keyCreateAcls:                   server.Sync(a.createAcls),
		keyDeleteAcls:                   server.Sync(a.deleteAcls),
		keyAlterReplicaLogDirs:          server.Sync(a.alterReplicaLogDirs),
		keyDescribeLogDirs:              server.Sync(a.describeLogDirs),
		keyElectLeaders:                 server.Sync(a.electLeaders),
		keyIncrementalAlterConfigs:      server.Sync(a.incrementalAlterConfigs),
		keyAlterPartitionReassignments:  server.Sync(a.alterPartitionReassignments),
		keyListPartitionReassignments:   server.Sync(a.listPartitionReassignments),
		keyDescribeClientQuotas:         server.Sync(a.describeClientQuotas),
		keyDescribeUserScramCredentials: server.Sync(a.describeUserScramCredentials),
		keyDescribeCluster:              server.Sync(a.describeCluster),
		keyDescribeProducers:            server.Sync(a.describeProducers),
		keyDescribeTransactions:         server.Sync(a.describeTransactions),
		keyListTransactions:             server.Sync(a.listTransactions),
		keyListConfigResources:          server.Sync(a.listConfigResources),
		keyDescribeTopicPartitions:      server.Sync(a.describeTopicPartitions),
	}
	rows := make([]server.API, 0, len(Versions))
	for _, v := range Versions {
		h, ok := handlers[v.Key]
		if !ok {
			return nil, fmt.Errorf("api %s has no handler", v.Name)
		}
		row := v.Row(h)
		switch v.Key {
		case keyProduce:
			row.Produce = true
		case keyFetch:
			row.Serial = true
		case keyApiVersions, keyFindCoordinator:
		case keyOffsetCommit, keyJoinGroup, keyHeartbeat, keyLeaveGroup, keySyncGroup, keyConsumerGroupHeartbeat: // answered when their time has come
		default:
			row.Spawn = true // may wait for a barrier, the journal or the store
		}
		rows = append(rows, row)
		delete(handlers, v.Key)
	}
	for key := range handlers {
		return nil, fmt.Errorf("the handler of key %d has no row in Versions", key)
	}
	return server.NewTable(rows)
}

// barrierTimeout bounds the wait for a barrier. It takes a fraction of a millisecond unless etcd is away.
const barrierTimeout = 2 * time.Second

func (a *API) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, barrierTimeout)
	defer cancel()
	err := a.d.View.Barrier(ctx)
	if err != nil && !errors.Is(err, ErrViewBehind) {
		return fmt.Errorf("%w: %w", ErrMetadataUnavailable, err)
	}
	return err
}

// checkEpoch compares the leader epoch that a client believes in with ours, which is always 0 (Semantics line 41).
func checkEpoch(epoch int32) error {
	switch {
	case epoch > 0:
		return errUnknownEpoch
	case epoch < -1:
		return errFencedEpoch
	}
	return nil
}

var (
	errUnknownEpoch = refuse(kerr.UnknownLeaderEpoch, "the leader epoch is 0")
	errFencedEpoch  = refuse(kerr.FencedLeaderEpoch, "the leader epoch is 0")
	errUnknownID    = refuse(kerr.UnknownTopicID, "no topic has this id")
	errAnotherID    = refuse(kerr.InconsistentTopicID, "the topic has another id by now")
	errDuplicate    = refuse(kerr.InvalidRequest, "comes twice in one request")
	errNotOneBatch  = refuse(kerr.InvalidRecord, "a partition must have exactly one whole record batch")
)
