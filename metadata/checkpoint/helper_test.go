package checkpoint

import (
	"testing"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

// registerSession puts a session's key and returns its create revision.
func registerSession(t *testing.T, store kv.KV, id layout.Session) int64 {
	t.Helper()
	rev, err := session.Register(t.Context(), store, etcdKeys, id, &pb.SessionInfo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}
