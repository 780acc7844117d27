package main

import "log/slog"

// logger writes to stderr, so that stdout holds only what a command was asked for. --output json makes it JSON too.
func (a *app) logger(level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if a.json() {
		return slog.New(slog.NewJSONHandler(a.err, o))
	}
	return slog.New(slog.NewTextHandler(a.err, o))
}
