package main

import "log/slog"

// logger writes to stderr, so that stdout holds only what a command was asked for. --output json makes it JSON too.
func (a *app) logger() *slog.Logger {
	if a.json() {
		return slog.New(slog.NewJSONHandler(a.err, nil))
	}
	return slog.New(slog.NewTextHandler(a.err, nil))
}
