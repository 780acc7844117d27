package api

import "wadi/agent/server/wire"

// The structure of the requests of transactions; see shapes.go.

var addPartitionsToTxnShape = wire.Message(3,
	wire.Array(wire.Struct(wire.String(), int64F, int16F, boolF, someTopics())).From(4),
	wire.String().Until(3), int64F.Until(3), int16F.Until(3), someTopics().Until(3),
)

var addOffsetsToTxnShape = wire.Message(3, wire.String(), int64F, int16F, wire.String())

var endTxnShape = wire.Message(3, wire.String(), int64F, int16F, boolF)

var writeTxnMarkersShape = wire.Message(1,
	wire.Array(wire.Struct(int64F, int16F, boolF, someTopics(), int32F, int8F.From(2))),
)

var describeTransactionsShape = wire.Message(0, wire.Array(wire.String()))

var listTransactionsShape = wire.Message(0,
	wire.Array(wire.String()), wire.Array(int64F), int64F.From(1), wire.NullableString().From(2),
)
