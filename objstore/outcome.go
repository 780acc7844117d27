package objstore

import (
	"context"
	"errors"
)

// Outcome names the kind of an error in a word or two, for metrics' labels and transcripts: "ok", "not_found", "exists",
// "conflict", "range", "throttled", "corrupt", "denied", "invalid", "deadline", "canceled" and "error" for the rest.
func Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.name
		}
	}
	return "error"
}

// A call that ran out of time while the store was throttling is throttled: the cause comes before the context.
var outcomes = []struct {
	err  error
	name string
}{
	{ErrExists, "exists"},
	{ErrConflict, "conflict"},
	{ErrCorrupt, "corrupt"},
	{ErrRange, "range"},
	{ErrKey, "invalid"},
	{ErrDenied, "denied"},
	{ErrThrottled, "throttled"},
	{ErrNotFound, "not_found"},
	{context.DeadlineExceeded, "deadline"},
	{context.Canceled, "canceled"},
}
