package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
)

// registerSession puts a session's key and returns its create revision.
func registerSession(t *testing.T, store kv.KV, id layout.Session) int64 {
	t.Helper()
	r, err := session.Register(t.Context(), store, etcdKeys, id, &pb.SessionInfo{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

func hashOf(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func crcOf(b []byte) []byte { return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)) }
