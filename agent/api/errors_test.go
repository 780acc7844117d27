package api

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"

	"wadi/internal/batch"
	"wadi/internal/kafkaconfig"
	"wadi/metadata/state"
)

var update = flag.Bool("update", false, "rewrite docs/errors.md from the table")

const errorsPage = "../../docs/errors.md"

// docs/errors.md is the same table as the one in errors.go.
func TestErrorsPageMatchesTheTable(t *testing.T) {
	page, err := os.ReadFile(errorsPage)
	require.NoError(t, err)
	const begin, end = "<!-- table -->\n", "<!-- end of table -->"
	head, rest, ok1 := strings.Cut(string(page), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	require.True(t, ok1 && ok2, "the markers are missing")
	if *update {
		require.NoError(t, os.WriteFile(errorsPage, []byte(head+begin+renderFailures()+end+tail), 0o644))
		return
	}
	require.Equal(t, renderFailures(), table, "run this test with -update")
}

func renderFailures() string {
	var b strings.Builder
	b.WriteString("| Failure |")
	for _, keys := range failureAPIs {
		var names []string
		for _, v := range Versions {
			if slices.Contains(keys, v.Key) {
				names = append(names, v.Name)
			}
		}
		fmt.Fprintf(&b, " %s |", strings.Join(names, ", "))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(failureAPIs)) + "\n")
	for _, f := range failures {
		fmt.Fprintf(&b, "| %s |", f.err)
		for _, c := range f.codes {
			fmt.Fprintf(&b, " %s (%d) |", c.Message, c.Code)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Every failure, wrapped, is an error for every API (Regression R15), and the code of its row.
func TestFailuresAreMapped(t *testing.T) {
	for _, f := range failures {
		wrapped := fmt.Errorf("while doing something: %w", f.err)
		for i, keys := range failureAPIs {
			require.NotZero(t, f.codes[i].Code)
			for _, key := range keys {
				require.Equal(t, f.codes[i].Code, code(key, wrapped), "%v for key %d", f.err, key)
			}
		}
	}
	for _, v := range Versions {
		require.NotZero(t, code(v.Key, errors.New("nobody foresaw this")), v.Name)
		require.Zero(t, code(v.Key, nil))
	}
}

// Every API but ApiVersions, which cannot fail, is in one column.
func TestEveryAPIHasAColumnOfFailures(t *testing.T) {
	for _, v := range Versions {
		columns := 0
		for _, keys := range failureAPIs {
			if slices.Contains(keys, v.Key) {
				columns++
			}
		}
		want := 1
		if v.Key == keyApiVersions {
			want = 0
		}
		require.Equal(t, want, columns, v.Name)
	}
}

// Semantics lines 22, 28, 29: what may still land gets an error that says so; 6 says that it will not.
func TestProduceErrorsTellTheTruth(t *testing.T) {
	for err, want := range map[error]*kerr.Error{
		ErrOutcomeUnknown:                    kerr.NotEnoughReplicasAfterAppend,
		ErrTimeout:                           kerr.RequestTimedOut,
		context.DeadlineExceeded:             kerr.RequestTimedOut,
		errors.New("unforeseen"):             kerr.NotEnoughReplicasAfterAppend,
		ErrNotProposed:                       kerr.NotLeaderForPartition,
		ErrDraining:                          kerr.NotLeaderForPartition,
		ErrMemory:                            kerr.NotLeaderForPartition,
		ErrStoreUnavailable:                  kerr.NotLeaderForPartition,
		&Refused{state.SessionNotOpen}:       kerr.NotLeaderForPartition,
		&Refused{state.OutOfOrderSequence}:   kerr.OutOfOrderSequenceNumber, // Semantics line 25
		&Refused{state.InvalidProducerEpoch}: kerr.InvalidProducerEpoch,     // Semantics line 26
		batch.ErrCorrupt:                     kerr.CorruptMessage,           // Semantics line 16
		batch.ErrShort:                       kerr.CorruptMessage,
		batch.ErrInvalidRecord:               kerr.InvalidRecord,
		batch.ErrTooLarge:                    kerr.MessageTooLarge,            // Semantics line 18
		batch.ErrUnsupportedCodec:            kerr.UnsupportedCompressionType, // Semantics line 20
		batch.ErrTimestamp:                   kerr.InvalidTimestamp,           // Semantics line 19
		batch.ErrNoKey:                       kerr.InvalidRecord,              // Semantics line 21
		&batch.RecordError{Index: 3, Err: batch.ErrNoKey}: kerr.InvalidRecord,
		kafkaconfig.ErrInvalid:                            kerr.InvalidConfig,
		kafkaconfig.ErrUnknown:                            kerr.InvalidConfig,
	} {
		require.Equal(t, want.Code, code(keyProduce, fmt.Errorf("wrapped: %w", err)), "%v", err)
	}
}

// Semantics line 36: a Fetch client knows few codes, and dies of others.
func TestFetchErrorsAreKnownToItsClients(t *testing.T) {
	known := map[int16]bool{}
	for _, e := range []*kerr.Error{kerr.OffsetOutOfRange, kerr.UnknownTopicOrPartition, kerr.NotLeaderForPartition,
		kerr.KafkaStorageError, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.UnknownTopicID,
		kerr.UnknownServerError, kerr.OffsetNotAvailable} {
		known[e.Code] = true
	}
	for _, f := range failures {
		require.True(t, known[code(keyFetch, f.err)], "%v: %d", f.err, code(keyFetch, f.err))
	}
	for _, err := range []error{context.Canceled, context.DeadlineExceeded, ErrOffsetOutOfRange, ErrUnknownTopic, errors.New("x")} {
		require.True(t, known[code(keyFetch, err)], "%v", err)
	}
}

// What names a failure says more than the context that ended with it.
func TestFailureBeatsItsContext(t *testing.T) {
	err := fmt.Errorf("%w: %w", ErrMetadataUnavailable, context.DeadlineExceeded)
	require.Equal(t, kerr.NotLeaderForPartition.Code, code(keyProduce, err))
	require.Equal(t, kerr.OffsetNotAvailable.Code, code(keyListOffsets, err))
}

// Every verdict of State has an answer.
func TestVerdictsAreMapped(t *testing.T) {
	for c := state.Invalid; c <= state.Stale; c++ {
		require.NotZero(t, code(keyCreateTopics, &Refused{c}), "%v", c)
	}
}
