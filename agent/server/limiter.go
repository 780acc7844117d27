package server

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"wadi/agent/server/wire"
)

// linesPerSecond bounds log lines that clients can cause.
const linesPerSecond = 5

// limiter lets a few lines per second through and counts the rest into the next one.
type limiter struct {
	mu struct {
		sync.Mutex
		second  time.Time
		lines   int
		dropped int
	}
}

func (l *limiter) log(log *slog.Logger, level slog.Level, msg string, args ...any) {
	l.mu.Lock()
	if now := time.Now(); now.Sub(l.mu.second) >= time.Second {
		l.mu.second, l.mu.lines = now, 0
	}
	if l.mu.lines >= linesPerSecond {
		l.mu.dropped++
		l.mu.Unlock()
		return
	}
	l.mu.lines++
	dropped := l.mu.dropped
	l.mu.dropped = 0
	l.mu.Unlock()
	if dropped > 0 {
		args = append(args, "lines_left_out", dropped)
	}
	log.Log(context.Background(), level, msg, args...)
}

// isProtocol tells a client's fault from the ordinary ends of a connection.
func isProtocol(err error) bool {
	for _, target := range []error{ErrFrame, ErrHeader, ErrUnknownAPI, ErrUnsupportedVersion, wire.ErrMalformed} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
