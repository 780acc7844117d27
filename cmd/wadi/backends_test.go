package main

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of what etcd says its errors are passed on, whatever attributes they were given on the way.
func TestErrorsOnly(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(errorsOnly{slog.NewTextHandler(&out, nil)}).With("component", "etcd").WithGroup("raft")
	log.Debug("a slow disk")
	log.Warn("a reconnect")
	log.Error(storageVersionTooEarly)
	require.Empty(t, out.String())
	log.Error("the log is damaged", "index", 7)
	require.Contains(t, out.String(), `level=ERROR msg="the log is damaged" component=etcd raft.index=7`)
}
