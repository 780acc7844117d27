package server

import (
	"context"
	"log/slog"
)

// recorder counts log lines.
type recorder struct {
	lines   int
	leftOut int64
}

func (r *recorder) logger() *slog.Logger                     { return slog.New(r) }
func (r *recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *recorder) WithGroup(string) slog.Handler            { return r }
func (r *recorder) Handle(_ context.Context, rec slog.Record) error {
	r.lines++
	rec.Attrs(func(a slog.Attr) bool {
		if a.Key == "lines_left_out" {
			r.leftOut = a.Value.Int64()
		}
		return true
	})
	return nil
}
