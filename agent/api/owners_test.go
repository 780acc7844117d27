package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// No partition ever needs an election: each is answered with 84, and a request for all with nothing but their topics.
func TestElectLeaders(t *testing.T) {
	c := newCluster(t)
	c.topic("t", 2)
	c.topic("u", 1)
	k := c.dial()
	for version := int16(0); version <= 2; version++ {
		for kind := int8(0); kind < 3; kind++ {
			req := inVersion(kmsg.NewPtrElectLeadersRequest(), version)
			req.ElectionType = kind
			req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "t", Partitions: []int32{1, 0, 2, -1}}, {Topic: "nope", Partitions: []int32{0}}}
			want := "0: t[1:84 0:84 2:3 -1:3] nope[0:3]"
			if kind == 2 && version > 0 {
				want = "42: t[1:42 0:42 2:42 -1:42] nope[0:42]"
			}
			require.Equal(t, want, elected(k.ask(req).(*kmsg.ElectLeadersResponse), version))
			req.Topics = nil
			all := "0: t[] u[]"
			if kind == 2 && version > 0 {
				all = "42:"
			}
			require.Equal(t, all, elected(k.ask(req).(*kmsg.ElectLeadersResponse), version))
			req.Topics = []kmsg.ElectLeadersRequestTopic{}
			require.Equal(t, all[:strings.IndexByte(all, ':')+1], elected(k.ask(req).(*kmsg.ElectLeadersResponse), version))
		}
	}
	req := inVersion(kmsg.NewPtrElectLeadersRequest(), 2)
	c.set(func() { c.lagging = append(c.lagging, func() { c.topic("late", 1) }) })
	req.Topics = []kmsg.ElectLeadersRequestTopic{{Topic: "late", Partitions: []int32{0}}}
	require.Equal(t, "0: late[0:84]", elected(k.ask(req).(*kmsg.ElectLeadersResponse), 2))
	c.set(func() { c.barrierErr = ErrMetadataUnavailable })
	req.Topics = append(req.Topics, kmsg.ElectLeadersRequestTopic{Topic: "later", Partitions: []int32{0}})
	require.Equal(t, "0: late[0:84] later[0:7]", elected(k.ask(req).(*kmsg.ElectLeadersResponse), 2))
	req.Topics = nil
	require.Equal(t, "7:", elected(k.ask(req).(*kmsg.ElectLeadersResponse), 2))
}

func elected(r *kmsg.ElectLeadersResponse, version int16) string {
	s := fmt.Sprintf("%d:", r.ErrorCode)
	if version == 0 {
		s = "0:" // has no such field
	}
	for _, topic := range r.Topics {
		var list []string
		for _, p := range topic.Partitions {
			list = append(list, fmt.Sprintf("%d:%d", p.Partition, p.ErrorCode))
		}
		s += fmt.Sprintf(" %s%v", topic.Topic, list)
	}
	return s
}

// The brokers that a partition has may be assigned, in any order; others are refused, and there is nothing to cancel or
// to list. What Apache Kafka refuses is refused with its error (KIP-455, KIP-860).
func TestReassignments(t *testing.T) {
	c := newCluster(t)
	fourBrokers(c)
	c.topic("t", 1)
	k := c.dial()
	have := k.ask(metadataOf(12, "t")).(*kmsg.MetadataResponse).Topics[0].Partitions[0].Replicas
	turned := slices.Clone(have)
	slices.Reverse(turned)
	var others []int32
	for _, id := range []int32{0, 1, 5, 6} {
		if !slices.Contains(have[:2], id) {
			others = append(others, id)
		}
	}
	for version := int16(0); version <= 1; version++ {
		for i, want := range []struct {
			topic     string
			partition int32
			replicas  []int32
			resize    bool
			code      *kerr.Error
		}{
			{"t", 0, have, true, nil},
			{"t", 0, turned, false, nil},
			{"t", 0, append(others, have[0]), true, kerr.InvalidReplicaAssignment},
			{"t", 0, have[:2], true, kerr.InvalidReplicaAssignment},
			{"t", 0, have[:2], false, kerr.InvalidReplicationFactor},
			{"t", 0, nil, true, kerr.NoReassignmentInProgress},
			{"t", 0, []int32{}, true, kerr.InvalidReplicaAssignment},
			{"t", 0, []int32{have[0], have[0], have[1]}, true, kerr.InvalidReplicaAssignment},
			{"t", 0, []int32{have[0], have[1], 77}, true, kerr.InvalidReplicaAssignment},
			{"t", 1, have, true, kerr.UnknownTopicOrPartition},
			{"nope", 0, nil, true, kerr.UnknownTopicOrPartition},
		} {
			req := inVersion(kmsg.NewPtrAlterPartitionAssignmentsRequest(), version)
			req.AllowReplicationFactorChange = want.resize
			req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: want.topic, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{
				{Partition: want.partition, Replicas: want.replicas}}}}
			r := k.ask(req).(*kmsg.AlterPartitionAssignmentsResponse)
			require.Zero(t, r.ErrorCode)
			p := r.Topics[0].Partitions[0]
			require.Equal(t, want.partition, p.Partition)
			code := want.code
			if version == 0 && code == kerr.InvalidReplicationFactor {
				code = kerr.InvalidReplicaAssignment // which could not forbid it
			}
			if code == nil {
				require.Zero(t, p.ErrorCode, "case %d", i)
			} else {
				require.Equal(t, code.Code, p.ErrorCode, "case %d", i)
			}
			if version > 0 {
				require.Equal(t, want.resize, r.AllowReplicationFactorChange)
			}
		}
	}
	list := kmsg.NewPtrListPartitionReassignmentsRequest()
	require.Empty(t, k.ask(list).(*kmsg.ListPartitionReassignmentsResponse).Topics)
	list.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{{Topic: "t", Partitions: []int32{0}}, {Topic: "nope", Partitions: []int32{0}}}
	r := k.ask(list).(*kmsg.ListPartitionReassignmentsResponse)
	require.Zero(t, r.ErrorCode)
	require.Empty(t, r.Topics)
}

// A replica is where it is; there is no other directory, and no replica of other brokers.
func TestAlterReplicaLogDirs(t *testing.T) {
	c := newClusterWith(t, Config{LogDir: "s3://bucket/main"})
	fourBrokers(c)
	c.topic("t", 10)
	k := c.dial()
	for version := int16(1); version <= 2; version++ {
		for _, m := range k.ask(metadataOf(12, "t")).(*kmsg.MetadataResponse).Topics[0].Partitions {
			for _, self := range []int32{0, 1, 5, 6} {
				c.set(func() { c.self = self })
				req := inVersion(kmsg.NewPtrAlterReplicaLogDirsRequest(), version)
				there := kmsg.AlterReplicaLogDirsRequestDir{Dir: "s3://bucket/main", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{
					{Topic: "t", Partitions: []int32{m.Partition, 10, m.Partition}}, {Topic: "nope", Partitions: []int32{0}}, {Topic: "t"}}}
				elsewhere := there
				elsewhere.Dir = "/var/kafka"
				first := kerr.ReplicaNotAvailable.Code
				if slices.Contains(m.Replicas, self) {
					first = 0
				}
				for _, v := range []struct {
					dirs []kmsg.AlterReplicaLogDirsRequestDir
					want []int16
				}{
					{[]kmsg.AlterReplicaLogDirsRequestDir{there}, []int16{first, 3, 3}},
					{[]kmsg.AlterReplicaLogDirsRequestDir{elsewhere}, []int16{57, 57, 57}},
					{[]kmsg.AlterReplicaLogDirsRequestDir{elsewhere, there}, []int16{first, 3, 3}},
					{[]kmsg.AlterReplicaLogDirsRequestDir{there, elsewhere}, []int16{57, 57, 57}},
				} {
					req.Dirs = v.dirs
					var codes []int16
					topics := k.ask(req).(*kmsg.AlterReplicaLogDirsResponse).Topics
					require.Len(t, topics, 2)
					for _, topic := range topics {
						for _, p := range topic.Partitions {
							codes = append(codes, p.ErrorCode)
						}
					}
					require.Equal(t, v.want, codes)
				}
			}
		}
	}
}

// Without an authorizer access rules are refused; nobody has SCRAM credentials or quotas.
func TestNothingIsSecured(t *testing.T) {
	k := newCluster(t).dial()
	for version := int16(1); version <= 3; version++ {
		require.Equal(t, kerr.SecurityDisabled.Code, k.ask(inVersion(kmsg.NewPtrDescribeACLsRequest(), version)).(*kmsg.DescribeACLsResponse).ErrorCode)
		create := inVersion(kmsg.NewPtrCreateACLsRequest(), version)
		create.Creations = make([]kmsg.CreateACLsRequestCreation, 2)
		made := k.ask(create).(*kmsg.CreateACLsResponse).Results
		require.Len(t, made, 2)
		remove := inVersion(kmsg.NewPtrDeleteACLsRequest(), version)
		remove.Filters = make([]kmsg.DeleteACLsRequestFilter, 2)
		gone := k.ask(remove).(*kmsg.DeleteACLsResponse).Results
		require.Len(t, gone, 2)
		for i := range made {
			require.Equal(t, []int16{54, 54}, []int16{made[i].ErrorCode, gone[i].ErrorCode})
		}
	}
	users := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	require.Empty(t, k.ask(users).(*kmsg.DescribeUserSCRAMCredentialsResponse).Results)
	users.Users = []kmsg.DescribeUserSCRAMCredentialsRequestUser{{Name: "a"}, {Name: "b"}, {Name: "a"}, {Name: ""}}
	r := k.ask(users).(*kmsg.DescribeUserSCRAMCredentialsResponse)
	require.Zero(t, r.ErrorCode)
	got := map[string]int16{}
	for _, u := range r.Results {
		got[u.User] = u.ErrorCode
	}
	require.Len(t, r.Results, 3)
	require.Equal(t, map[string]int16{"a": kerr.DuplicateResource.Code, "b": kerr.ResourceNotFound.Code, "": kerr.ResourceNotFound.Code}, got)
}

// Quotas cannot be set, so none is found; a filter that makes no sense is refused all the same (KIP-546).
func TestDescribeClientQuotas(t *testing.T) {
	k := newCluster(t).dial()
	component := func(kind string, match kmsg.QuotasMatchType, name ...string) kmsg.DescribeClientQuotasRequestComponent {
		c := kmsg.DescribeClientQuotasRequestComponent{EntityType: kind, MatchType: match}
		if len(name) > 0 {
			c.Match = &name[0]
		}
		return c
	}
	const exact, byDefault, anyOne = kmsg.QuotasMatchTypeExact, kmsg.QuotasMatchTypeDefault, kmsg.QuotasMatchTypeAny
	for i, v := range []struct {
		code int16
		list []kmsg.DescribeClientQuotasRequestComponent
	}{
		{0, nil},
		{0, []kmsg.DescribeClientQuotasRequestComponent{component("user", exact, "a"), component("client-id", byDefault)}},
		{0, []kmsg.DescribeClientQuotasRequestComponent{component("ip", anyOne)}},
		{35, []kmsg.DescribeClientQuotasRequestComponent{component("planet", anyOne)}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("", anyOne)}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", exact)}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", byDefault, "a")}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", anyOne, "a")}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", 3)}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", anyOne), component("user", anyOne)}},
		{42, []kmsg.DescribeClientQuotasRequestComponent{component("user", anyOne), component("ip", anyOne)}},
	} {
		for version := int16(0); version <= 1; version++ {
			req := inVersion(kmsg.NewPtrDescribeClientQuotasRequest(), version)
			req.Components, req.Strict = v.list, true
			r := k.ask(req).(*kmsg.DescribeClientQuotasResponse)
			require.Equal(t, v.code, r.ErrorCode, "case %d", i)
			require.Equal(t, v.code == 0, r.Entries != nil, "null entries mean that the question failed")
			require.Empty(t, r.Entries)
		}
	}
}
