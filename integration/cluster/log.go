package cluster

import (
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var clientLog = flag.Bool("client-log", false, "show what the Kafka clients log, from info on")

// clientLogger shows a client's log in the test's.
type clientLogger struct {
	t    testing.TB
	name string
}

func logOf(t testing.TB, name string) kgo.Logger {
	return clientLogger{t, name}
}

func (l clientLogger) Level() kgo.LogLevel {
	if *clientLog {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelNone
}

func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	l.t.Logf("%s %s: %s %s", l.name, level, msg, fmt.Sprint(keyvals...))
}

func isOutOfRange(err error) bool { return errors.Is(err, kerr.OffsetOutOfRange) }
