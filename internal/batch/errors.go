package batch

import (
	"errors"
	"fmt"
)

// What can be wrong with a batch. Each has one Kafka error code at the protocol edge.
var (
	// ErrCorrupt: length, magic or CRC do not fit, or the bytes are not exactly one batch.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrShort is the ErrCorrupt of a batch whose end is missing.
	ErrShort = fmt.Errorf("%w: incomplete", ErrCorrupt)
	// ErrInvalidRecord: the bytes arrived as they were sent, but counts, deltas, sequences or records are wrong.
	ErrInvalidRecord = errors.New("invalid record")
	// ErrTooLarge: the batch, or what it decompresses to, is above the limit.
	ErrTooLarge = errors.New("record batch too large")
	// ErrUnsupportedCodec: the compression codec is unknown or not allowed here.
	ErrUnsupportedCodec = errors.New("unsupported compression codec")
	// ErrTimestamp: a record's timestamp is out of bounds, or the batch claims a LogAppendTime.
	ErrTimestamp = errors.New("invalid timestamp")
	// ErrNoKey: a record lacks the key that its topic demands.
	ErrNoKey = errors.New("record without key")
)

// RecordError says which record of a batch is at fault. It unwraps to one of the sentinels above.
type RecordError struct {
	Index int32 // position in the batch, from 0
	Err   error
}

func (e *RecordError) Error() string { return fmt.Sprintf("record %d: %v", e.Index, e.Err) }

// Unwrap gives the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// RecordErrors are all records of a batch that a topic does not take although they are whole: without a key that it
// demands, with a timestamp out of its bounds. In the order of the batch, at most maxRecordErrors.
type RecordErrors []RecordError

// maxRecordErrors bounds the answer to a batch of a million keyless records.
const maxRecordErrors = 1000

func (e RecordErrors) add(index int32, err error) RecordErrors {
	if len(e) == maxRecordErrors {
		return e
	}
	return append(e, RecordError{Index: index, Err: err})
}

func (e RecordErrors) Error() string {
	if len(e) == 1 {
		return e[0].Error()
	}
	return fmt.Sprintf("%d records, the first: %v", len(e), &e[0])
}

// Unwrap gives the cause for the whole batch: timestamps come before keys, as in Apache Kafka.
func (e RecordErrors) Unwrap() error {
	for i := range e {
		if errors.Is(e[i].Err, ErrTimestamp) {
			return &e[i]
		}
	}
	return &e[0]
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalidRecord, fmt.Sprintf(format, args...))
}
