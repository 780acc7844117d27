package api

import "wadi/agent/server/wire"

// The structure of the requests of groups; see shapes.go.

var offsetCommitShape = wire.Message(8,
	wire.String(), int32F, wire.String(), wire.NullableString().From(7), int64F.From(2).Until(4),
	wire.Array(wire.Struct(
		wire.String().Until(9), uuidF.From(10),
		wire.Array(wire.Struct(int32F, int64F, int32F.From(6), wire.NullableString())),
	)),
)

var txnOffsetCommitShape = wire.Message(3,
	wire.String(), wire.String(), int64F, int16F, int32F.From(3), wire.String().From(3), wire.NullableString().From(3),
	wire.Array(wire.Struct(
		wire.String(),
		wire.Array(wire.Struct(int32F, int64F, int32F.From(2), wire.NullableString())),
	)),
)

var offsetFetchShape = wire.Message(6,
	wire.String().Until(7),
	wire.NullableArray(wire.Struct(wire.String(), wire.Array(int32F))).NullFrom(2).Until(7),
	wire.Array(wire.Struct(
		wire.String(), wire.NullableString().From(9), int32F.From(9),
		wire.NullableArray(wire.Struct(wire.String().Until(9), uuidF.From(10), wire.Array(int32F))),
	)).From(8),
	boolF.From(7),
)

var joinGroupShape = wire.Message(6,
	wire.String(), int32F, int32F.From(1), wire.String(), wire.NullableString().From(5), wire.String(),
	wire.Array(wire.Struct(wire.String(), wire.Bytes())), wire.NullableString().From(8),
)

var heartbeatShape = wire.Message(4, wire.String(), int32F, wire.String(), wire.NullableString().From(3))

var leaveGroupShape = wire.Message(4,
	wire.String(), wire.String().Until(2),
	wire.Array(wire.Struct(wire.String(), wire.NullableString(), wire.NullableString().From(5))).From(3),
)

var syncGroupShape = wire.Message(4,
	wire.String(), int32F, wire.String(), wire.NullableString().From(3), wire.NullableString().From(5),
	wire.NullableString().From(5), wire.Array(wire.Struct(wire.String(), wire.Bytes())),
)

var describeGroupsShape = wire.Message(5, wire.Array(wire.String()), boolF.From(3))

var listGroupsShape = wire.Message(3, wire.Array(wire.String()).From(4), wire.Array(wire.String()).From(5))

var deleteGroupsShape = wire.Message(2, wire.Array(wire.String()))

// OffsetDelete has no flexible version: 1 does not exist.
var offsetDeleteShape = wire.Message(1,
	wire.String(), wire.Array(wire.Struct(wire.String(), wire.Array(wire.Struct(int32F)))),
)

var consumerGroupHeartbeatShape = wire.Message(0,
	wire.String(), wire.String(), int32F, wire.NullableString(), wire.NullableString(), int32F,
	wire.NullableArray(wire.String()), wire.NullableString().From(1), wire.NullableString(),
	wire.NullableArray(wire.Struct(uuidF, wire.Array(int32F))),
)

var consumerGroupDescribeShape = wire.Message(0, wire.Array(wire.String()), boolF)
