package semantics

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// oldMessages is a message set of magic 0 or 1 with one message that is right in itself.
func oldMessages(magic byte, value string) []byte {
	b := []byte{magic, 0} // attributes: no codec
	if magic == 1 {
		b = binary.BigEndian.AppendUint64(b, 1_700_000_000_000)
	}
	b = binary.BigEndian.AppendUint32(b, 0xffffffff) // null key
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
	b = append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)), b...)
	b = append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	return append(make([]byte, 8), b...)
}

// Semantics line 50: message sets of magic 0 and 1 are neither taken nor made. The versions that carried them are not
// served (KIP-896): ApiVersions names higher minimums, but for Produce (Semantics line 5), and what comes in an older version
// closes the connection. In the versions served such a set is no batch.
func TestLine50NoMessageSets(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line50", 1)
	lowest := map[int16]int16{0: 3, 1: 4, 2: 1} // Produce, Fetch, ListOffsets
	for _, k := range ask[*kmsg.ApiVersionsResponse](c, 0, kmsg.NewPtrApiVersionsRequest()).ApiKeys {
		if first, ok := lowest[k.ApiKey]; ok && k.ApiKey != 0 {
			require.Equal(t, first, k.MinVersion, "API %d", k.ApiKey)
		}
	}
	for key, first := range lowest {
		for version := range first {
			requests := map[int16]kmsg.Request{0: produceRequest(oldMessages(byte(min(version, 1)), "v"), to), 1: fetchRequest(0, to), 2: placesRequest(to, -1, 0)}
			req := requests[key]
			req.SetVersion(version)
			old := dial(t, n)
			old.alive()
			old.send(req)
			old.closed()
		}
	}
	for _, magic := range []byte{0, 1} {
		for version := int16(3); version <= 13; version++ {
			p := produceAt(c, version, to, oldMessages(magic, "some value that makes it longer than the header of a batch is, which takes some words"))
			require.Equal(t, []int64{87, -1}, []int64{int64(p.ErrorCode), p.BaseOffset}, "magic %d, version %d", magic, version)
		}
	}
	require.Zero(t, end(c, to))
	// The oldest version served gets batches of magic 2.
	stored(c, to, plain("v"), 0)
	for version := int16(4); version <= 12; version++ {
		b := batches(t, only(c, ask[*kmsg.FetchResponse](c, version, fetchRequest(0, to))).RecordBatches)
		require.Len(t, b, 1)
		require.Equal(t, int8(2), b[0].Magic)
	}
}
