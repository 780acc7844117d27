package api

import "wadi/agent/server/wire"

// The structures of what administrators ask; those of shapes.go continued.

// someTopics is a topic with partition numbers.
func someTopics() wire.Field { return wire.Array(wire.Struct(wire.String(), wire.Array(int32F))) }

// allTopics may be null, which stands for all.
func allTopics() wire.Field {
	return wire.NullableArray(wire.Struct(wire.String(), wire.Array(int32F)))
}

// aclFilter is what DescribeAcls and DeleteAcls match by.
func aclFilter() []wire.Field {
	return []wire.Field{
		int8F, wire.NullableString(), int8F.From(1), // resource type, name and pattern
		wire.NullableString(), wire.NullableString(), // principal, host
		int8F, int8F, // operation, permission
	}
}

var describeAclsShape = wire.Message(2, aclFilter()...)

var createAclsShape = wire.Message(2,
	wire.Array(wire.Struct(int8F, wire.String(), int8F.From(1), wire.String(), wire.String(), int8F, int8F)),
)

var deleteAclsShape = wire.Message(2, wire.Array(wire.Struct(aclFilter()...)))

var alterReplicaLogDirsShape = wire.Message(2, wire.Array(wire.Struct(wire.String(), someTopics())))

var describeLogDirsShape = wire.Message(2, allTopics())

var electLeadersShape = wire.Message(2, int8F.From(1), allTopics(), int32F)

var alterPartitionReassignmentsShape = wire.Message(0,
	int32F, boolF.From(1),
	wire.Array(wire.Struct(
		wire.String(),
		wire.Array(wire.Struct(int32F, wire.NullableArray(int32F))), // null cancels
	)),
)

var listPartitionReassignmentsShape = wire.Message(0, int32F, allTopics())

var describeClientQuotasShape = wire.Message(1,
	wire.Array(wire.Struct(wire.String(), int8F, wire.NullableString())),
	boolF,
)

var describeUserScramCredentialsShape = wire.Message(0, wire.NullableArray(wire.Struct(wire.String())))

var describeClusterShape = wire.Message(0, boolF, int8F.From(1), boolF.From(2))

var describeProducersShape = wire.Message(0, someTopics())

var describeTopicPartitionsShape = wire.Message(0,
	wire.Array(wire.Struct(wire.String())),
	int32F,
	wire.NullableStruct(wire.String(), int32F), // cursor
)
