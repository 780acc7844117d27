package api

import "wadi/agent/server/wire"

// The structure of every request, checked before it is decoded (package wire says why). A property test holds them
// against kmsg's encoders.

var (
	int8F  = wire.Fixed(1)
	boolF  = wire.Fixed(1)
	int16F = wire.Fixed(2)
	int32F = wire.Fixed(4)
	int64F = wire.Fixed(8)
	uuidF  = wire.Fixed(16)
)

var produceShape = wire.Message(9,
	wire.NullableString().From(3), // transactional id
	int16F,                        // acks
	int32F,                        // timeout
	wire.Array(wire.Struct(
		wire.String().Until(12), uuidF.From(13),
		wire.Array(wire.Struct(int32F, wire.NullableBytes())),
	)),
)

var fetchShape = wire.Message(12,
	int32F.Until(14), // replica id
	int32F,           // max wait
	int32F,           // min bytes
	int32F.From(3),   // max bytes
	int8F.From(4),    // isolation level
	int32F.From(7),   // session id
	int32F.From(7),   // session epoch
	wire.Array(wire.Struct( // topics
		wire.String().Until(12), uuidF.From(13),
		wire.Array(wire.Struct(
			int32F,          // partition
			int32F.From(9),  // current leader epoch
			int64F,          // fetch offset
			int32F.From(12), // last fetched epoch
			int64F.From(5),  // log start offset
			int32F,          // partition max bytes
			uuidF.Tagged(0), // replica directory
			int64F.Tagged(1),
		)),
	)),
	wire.Array(wire.Struct( // forgotten topics
		wire.String().Until(12), uuidF.From(13), wire.Array(int32F),
	)).From(7),
	wire.String().From(11), // rack
	wire.NullableString().Tagged(0),
	wire.Struct(int32F, int64F).Tagged(1), // replica state
)

var listOffsetsShape = wire.Message(6,
	int32F, int8F.From(2),
	wire.Array(wire.Struct(
		wire.String(),
		wire.Array(wire.Struct(int32F, int32F.From(4), int64F, int32F.Until(0))),
	)),
	int32F.From(10),
)

var metadataShape = wire.Message(9,
	wire.NullableArray(wire.Struct(uuidF.From(10), wire.String().Until(9), wire.NullableString().From(10))).NullFrom(1),
	boolF.From(4),
	boolF.From(8).Until(10),
	boolF.From(8),
)

var findCoordinatorShape = wire.Message(3,
	wire.String().Until(3), int8F.From(1), wire.Array(wire.String()).From(4),
)

var apiVersionsShape = wire.Message(3, wire.String().From(3), wire.String().From(3))

var createTopicsShape = wire.Message(5,
	wire.Array(wire.Struct(
		wire.String(), int32F, int16F,
		wire.Array(wire.Struct(int32F, wire.Array(int32F))),
		wire.Array(wire.Struct(wire.String(), wire.NullableString())),
	)),
	int32F, boolF.From(1),
)

var deleteTopicsShape = wire.Message(4,
	wire.Array(wire.String()).Until(5),
	wire.Array(wire.Struct(wire.NullableString(), uuidF)).From(6),
	int32F,
)

var initProducerIDShape = wire.Message(2,
	wire.NullableString(), int32F, int64F.From(3), int16F.From(3),
)

var offsetForLeaderEpochShape = wire.Message(4,
	int32F.From(3),
	wire.Array(wire.Struct(
		wire.String(),
		wire.Array(wire.Struct(int32F, int32F.From(2), int32F)),
	)),
)

var alterConfigsShape = wire.Message(2,
	wire.Array(wire.Struct(int8F, wire.String(), wire.Array(wire.Struct(wire.String(), wire.NullableString())))),
	boolF, // validate only
)

var incrementalAlterConfigsShape = wire.Message(1,
	wire.Array(wire.Struct(int8F, wire.String(), wire.Array(wire.Struct(wire.String(), int8F, wire.NullableString())))),
	boolF, // validate only
)

var listConfigResourcesShape = wire.Message(0, wire.Array(int8F).From(1))

var describeConfigsShape = wire.Message(4,
	wire.Array(wire.Struct(int8F, wire.String(), wire.NullableArray(wire.String()))),
	boolF.From(1), boolF.From(3),
)

var deleteRecordsShape = wire.Message(2,
	wire.Array(wire.Struct(wire.String(), wire.Array(wire.Struct(int32F, int64F)))),
	int32F,
)

var createPartitionsShape = wire.Message(2,
	wire.Array(wire.Struct(
		wire.String(), int32F,
		wire.NullableArray(wire.Struct(wire.Array(int32F))), // assignments
	)),
	int32F, boolF,
)
