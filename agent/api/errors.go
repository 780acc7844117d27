package api

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/agent/group"
	"wadi/agent/group/consumer"
	"wadi/agent/txn"
	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

// Internal failures. Whoever implements the interfaces of deps.go wraps one of these; nothing else is mapped by name.
var (
	// ErrNotProposed: the session was lost, or etcd did not answer, before anything was proposed. Nothing will land.
	ErrNotProposed = errors.New("not proposed")
	// ErrOutcomeUnknown: it was proposed and no answer came: session lost after the proposal, etcd silent, re-sync.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrTimeout: the client's own timeout ended while the outcome was open.
	ErrTimeout = errors.New("timed out")
	// ErrStoreUnavailable: the object store does not answer. Of a write nothing was proposed.
	ErrStoreUnavailable = errors.New("object store unavailable")
	// ErrMetadataUnavailable: etcd does not answer. Of a write nothing was proposed.
	ErrMetadataUnavailable = errors.New("metadata unavailable")
	// ErrViewBehind: this agent's State lags behind the journal.
	ErrViewBehind = errors.New("view is behind")
	// ErrMemory: a memory budget or the journal's quota stage leaves no room. Nothing was proposed.
	ErrMemory = errors.New("over budget")
	// ErrFeatureLevel: the cluster's feature level does not allow it, or shuts this agent out.
	ErrFeatureLevel = errors.New("feature level")
	// ErrDraining: this agent is shutting down. Nothing was proposed.
	ErrDraining = errors.New("draining")
	// ErrObjectMissing: an object that State names is not in the store, also after a barrier.
	ErrObjectMissing = errors.New("object missing")
	// ErrOffsetOutOfRange: above the high watermark after a barrier, or below the log start.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrUnknownTopic: no such topic or partition, after a barrier.
	ErrUnknownTopic = errors.New("unknown topic or partition")
)

// Refused carries State's verdict.
type Refused struct{ Code state.Code }

func (e *Refused) Error() string { return "refused: " + e.Code.String() }

// failure is one row: the Kafka error for each column of failureAPIs.
type failure struct {
	err   error
	codes [10]*kerr.Error
}

// failureAPIs are the columns. The APIs of one column fail alike; an API that no column names gets
// UNKNOWN_SERVER_ERROR, which clients do not get over.
var failureAPIs = [10][]int16{
	{keyProduce}, {keyFetch}, {keyListOffsets}, {keyMetadata, keyDescribeTopicPartitions}, {keyFindCoordinator},
	{keyCreateTopics, keyDeleteTopics, keyAlterConfigs, keyIncrementalAlterConfigs, keyCreatePartitions, keyAlterReplicaLogDirs, keyElectLeaders,
		keyAlterPartitionReassignments, keyCreateAcls, keyDeleteAcls}, // changes by administrators
	{keyInitProducerID, keyAddPartitionsToTxn, keyAddOffsetsToTxn, keyEndTxn, keyTxnOffsetCommit, keyDescribeTransactions, keyListTransactions, keyOffsetCommit, keyOffsetFetch, keyJoinGroup, keyHeartbeat, keyLeaveGroup, keySyncGroup,
		keyDescribeGroups, keyListGroups, keyDeleteGroups, keyOffsetDelete, keyConsumerGroupHeartbeat, keyConsumerGroupDescribe}, // asked of coordinators
	{keyOffsetForLeaderEpoch},
	{keyDescribeConfigs, keyDescribeAcls, keyDescribeLogDirs, keyListPartitionReassignments, keyDescribeClientQuotas,
		keyDescribeUserScramCredentials, keyDescribeCluster, keyListConfigResources, keyDescribeProducers}, // descriptions
	{keyDeleteRecords, keyWriteTxnMarkers}, // asked of a partition's leader; doing it twice is doing it once
}

// failures is the one place where an internal failure becomes a Kafka error. docs/errors.md shows the same table, and a
// test compares them. The first row that matches counts.
//
// A write that can still land never gets a definite error (Semantics lines 22, 28, 29): NOT_LEADER_OR_FOLLOWER only
// where nothing was proposed. Fetch gets only what its clients know (line 36).
var failures = []failure{
	{ErrOutcomeUnknown, [10]*kerr.Error{
		afterAppend, notLeader, notLeader, noLeader, noCoordinator,
		timedOut, noCoordinator, notLeader, timedOut, timedOut,
	}},
	{ErrTimeout, [10]*kerr.Error{
		timedOut, notLeader, notLeader, noLeader, noCoordinator,
		timedOut, noCoordinator, notLeader, timedOut, timedOut,
	}},
	{ErrNotProposed, [10]*kerr.Error{
		notLeader, notLeader, notLeader, noLeader, noCoordinator,
		notController, noCoordinator, notLeader, timedOut, notLeader,
	}},
	{ErrDraining, [10]*kerr.Error{
		notLeader, notLeader, notLeader, noLeader, noCoordinator,
		notController, notCoordinator, notLeader, timedOut, notLeader,
	}},
	{ErrFeatureLevel, [10]*kerr.Error{
		notLeader, notLeader, notLeader, noLeader, noCoordinator,
		unsupported, noCoordinator, notLeader, unsupported, unsupported,
	}},
	{ErrStoreUnavailable, [10]*kerr.Error{
		notLeader, storage, storage, noLeader, noCoordinator,
		timedOut, noCoordinator, storage, timedOut, timedOut,
	}},
	{ErrMetadataUnavailable, [10]*kerr.Error{
		notLeader, notLeader, noOffset, noLeader, noCoordinator,
		timedOut, noCoordinator, notLeader, timedOut, notLeader,
	}},
	{ErrViewBehind, [10]*kerr.Error{
		notLeader, notLeader, noOffset, noLeader, noCoordinator,
		timedOut, loading, notLeader, timedOut, notLeader,
	}},
	{ErrMemory, [10]*kerr.Error{
		notLeader, storage, storage, noLeader, noCoordinator,
		timedOut, noCoordinator, notLeader, timedOut, timedOut,
	}},
	{ErrObjectMissing, [10]*kerr.Error{
		storage, storage, storage, noLeader, noCoordinator,
		timedOut, noCoordinator, storage, timedOut, timedOut,
	}},
}

// Short names for the table.
var (
	notLeader      = kerr.NotLeaderForPartition
	afterAppend    = kerr.NotEnoughReplicasAfterAppend
	noLeader       = kerr.LeaderNotAvailable
	noCoordinator  = kerr.CoordinatorNotAvailable
	timedOut       = kerr.RequestTimedOut
	notController  = kerr.NotController
	notCoordinator = kerr.NotCoordinator
	unsupported    = kerr.UnsupportedVersion
	storage        = kerr.KafkaStorageError
	noOffset       = kerr.OffsetNotAvailable
	loading        = kerr.CoordinatorLoadInProgress
)

// faults are the client's own, the same for every API.
var faults = []struct {
	err  error
	code *kerr.Error
}{
	{ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{kafkaconfig.ErrUnknown, kerr.InvalidConfig},
	{kafkaconfig.ErrInvalid, kerr.InvalidConfig},
	{batch.ErrNoKey, kerr.InvalidRecord},
	{batch.ErrTimestamp, kerr.InvalidTimestamp},
	{batch.ErrUnsupportedCodec, kerr.UnsupportedCompressionType},
	{batch.ErrTooLarge, kerr.MessageTooLarge},
	{batch.ErrInvalidRecord, kerr.InvalidRecord},
	{batch.ErrCorrupt, kerr.CorruptMessage},
	{txn.ErrNotCoordinator, kerr.NotCoordinator},
	{group.ErrNotCoordinator, kerr.NotCoordinator},
	{group.ErrLoading, kerr.CoordinatorLoadInProgress},
	{group.ErrInvalidGroup, kerr.InvalidGroupID},
	{group.ErrInvalidTimeout, kerr.InvalidSessionTimeout},
	{group.ErrMemberIDRequired, kerr.MemberIDRequired},
	{group.ErrUnknownMember, kerr.UnknownMemberID},
	{group.ErrFencedInstance, kerr.FencedInstanceID},
	{group.ErrIllegalGeneration, kerr.IllegalGeneration},
	{group.ErrRebalanceInProgress, kerr.RebalanceInProgress},
	{group.ErrInconsistentProtocol, kerr.InconsistentGroupProtocol},
	{group.ErrMaxSize, kerr.GroupMaxSizeReached},
	{group.ErrTooLarge, kerr.UnknownServerError}, // what Kafka says of an assignment that its log does not take
	{group.ErrUnknownGroup, kerr.GroupIDNotFound},
	{group.ErrNotEmpty, kerr.NonEmptyGroup},
	{group.ErrStaleEpoch, kerr.StaleMemberEpoch},
	{consumer.ErrUnknownMember, kerr.UnknownMemberID},
	{consumer.ErrFencedEpoch, kerr.FencedMemberEpoch},
	{consumer.ErrUnreleased, kerr.UnreleasedInstanceID},
	{consumer.ErrFencedInstance, kerr.FencedInstanceID},
	{consumer.ErrInvalidRegex, kerr.InvalidRegularExpression},
	{consumer.ErrUnsupportedAssign, kerr.UnsupportedAssignor},
	{consumer.ErrFull, kerr.GroupMaxSizeReached},
}

// verdicts are State's refusals. What is not here says something about this agent and not about the request.
var verdicts = map[state.Code]*kerr.Error{
	state.UnknownTopic:         kerr.UnknownTopicOrPartition,
	state.TopicExists:          kerr.TopicAlreadyExists,
	state.NameCollision:        kerr.InvalidTopicException,
	state.OutOfOrderSequence:   kerr.OutOfOrderSequenceNumber,
	state.InvalidProducerEpoch: kerr.InvalidProducerEpoch,
	state.TooMany:              kerr.PolicyViolation,
	state.NotMore:              kerr.InvalidPartitions,
	state.OffsetOutOfRange:     kerr.OffsetOutOfRange,
	state.UnknownTxn:           kerr.InvalidProducerIDMapping,
	state.ProducerFenced:       kerr.ProducerFenced,
	state.InvalidTxnState:      kerr.InvalidTxnState,
}

// kafkaError maps err for an API. It never returns nil: a failure that nobody foresaw is an error too (Regression R15).
func kafkaError(api int16, err error) *kerr.Error {
	var known *kerr.Error
	var refused *Refused
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		if code, ok := verdicts[refused.Code]; ok {
			return code
		}
		return byRow(api, refusedAs(refused.Code))
	}
	for _, f := range failures {
		if errors.Is(err, f.err) {
			return byRow(api, f.err)
		}
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.code
		}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return byRow(api, ErrTimeout)
	}
	if api == keyProduce {
		return kerr.NotEnoughReplicasAfterAppend // Nobody knows what happened: it may have been stored.
	}
	return kerr.UnknownServerError
}

// refusedAs is the failure behind a verdict that is not the client's fault. A refused command did nothing.
func refusedAs(c state.Code) error {
	if c == state.FeatureLevel {
		return ErrFeatureLevel
	}
	return ErrNotProposed
}

func byRow(api int16, err error) *kerr.Error {
	for _, f := range failures {
		if f.err != err {
			continue
		}
		for i, apis := range failureAPIs {
			if slices.Contains(apis, api) {
				return f.codes[i]
			}
		}
	}
	return kerr.UnknownServerError
}

// code and message are what goes on the wire. nil is no error.
func code(api int16, err error) int16 {
	if err == nil {
		return 0
	}
	return kafkaError(api, err).Code
}

func message(err error) *string {
	if err == nil {
		return nil
	}
	s := err.Error()
	if err == ErrUnknownTopic {
		s = kerr.UnknownTopicOrPartition.Description // what clients print when they get no message
	}
	return &s
}

// refuse makes an error of a Kafka error, with words for the client.
func refuse(code *kerr.Error, format string, args ...any) error {
	return &worded{code: code, words: fmt.Sprintf(format, args...)}
}

type worded struct {
	code  *kerr.Error
	words string
}

func (e *worded) Error() string { return e.words }
func (e *worded) Unwrap() error { return e.code }
