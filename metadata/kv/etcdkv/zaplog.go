package etcdkv

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func loggerOrSilent(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}

// zapLogger gives etcd's code a logger that ends in l. etcd warns about what is ordinary for its client (a slow disk, a
// reconnect), so its warnings are debug messages here and what it says below is dropped.
func zapLogger(l *slog.Logger) *zap.Logger {
	return zap.New(&slogCore{l: l}, zap.WithCaller(false))
}

// slogCore is a zapcore.Core that writes to a slog.Logger.
type slogCore struct{ l *slog.Logger }

var _ zapcore.Core = (*slogCore)(nil)

func slogLevel(z zapcore.Level) slog.Level {
	if z >= zapcore.ErrorLevel {
		return slog.LevelError
	}
	return slog.LevelDebug
}

func (c *slogCore) Enabled(z zapcore.Level) bool {
	return z >= zapcore.WarnLevel && c.l.Enabled(context.Background(), slogLevel(z))
}

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	return &slogCore{l: slog.New(c.l.Handler().WithAttrs(attrs(fields)))}
}

func (c *slogCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	c.l.LogAttrs(context.Background(), slogLevel(e.Level), e.Message, attrs(fields)...)
	return nil
}

func (c *slogCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	out := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		f.AddTo(enc)
		if v, ok := enc.Fields[f.Key]; ok {
			out = append(out, slog.Any(f.Key, v))
		}
	}
	return out
}
