package semantics

import (
	"encoding/binary"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
)

// frame is a request by hand: header v1, or v2 with tags, and a body.
func frame(key, version int16, correlation int32, tags, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, 0, 4, 'h', 'a', 'n', 'd')
	b = append(append(b, tags...), body...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// Semantics line 1: ApiVersions of a version above ours gets version 0 with error 35 and our range, whatever its body,
// and the connection goes on with the version it was told.
func TestLine1ApiVersionsAboveOurs(t *testing.T) {
	c := dial(t, shared(t))
	for _, body := range [][]byte{nil, {0xff, 0xff, 0xff, 0xff, 0xff}, {0, 4, 'a', 'b', 'c', 4, '1', '.', '0', 0}} {
		c.write(frame(18, 5, 77, nil, body))
		id, b := c.reply()
		require.Equal(t, int32(77), id)
		resp := kmsg.NewPtrApiVersionsResponse()
		resp.SetVersion(0)
		require.NoError(t, resp.ReadFrom(b))
		require.Equal(t, b, resp.AppendTo(nil), "not version 0")
		require.Equal(t, int16(35), resp.ErrorCode)
		require.Len(t, resp.ApiKeys, 1)
		require.Equal(t, kmsg.ApiVersionsResponseApiKey{ApiKey: 18, MinVersion: 0, MaxVersion: 4}, resp.ApiKeys[0])
	}
	c.alive()
}

// Semantics line 2: the reply to ApiVersions has header version 0, without tags, also where its body is flexible, and a
// list of keys even with an error.
func TestLine2ApiVersionsHeader(t *testing.T) {
	c := dial(t, shared(t))
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "semantics", "1"
		req.SetVersion(version)
		for _, bad := range []bool{false, true} {
			if bad && version < 3 {
				continue
			}
			if bad {
				req.ClientSoftwareName = " "
			}
			c.send(req)
			_, b := c.reply()
			count := int64(int32(binary.BigEndian.Uint32(b[2:])))
			if version >= 3 {
				n, _ := binary.Uvarint(b[2:])
				count = int64(n) - 1
			}
			require.GreaterOrEqual(t, count, int64(0), "version %d: null list", version)
			if !bad {
				require.Zero(t, binary.BigEndian.Uint16(b), "version %d", version)
				require.Equal(t, int64(len(api.Versions)), count, "version %d", version)
			}
		}
	}
}

// Semantics line 3: the name and version of the client's software must match a pattern, else 42, and only the request
// fails.
func TestLine3SoftwareNames(t *testing.T) {
	c := dial(t, shared(t))
	pattern := regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)
	words := []string{"a", "9", "apache-kafka-java", "a.b-c", "", "-a", "a-", ".", "a_b", "a b", "ä", "a\n", "a--b"}
	for _, name := range words {
		for _, version := range words {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
			want := int16(42)
			if pattern.MatchString(name) && pattern.MatchString(version) {
				want = 0
			}
			require.Equal(t, want, ask[*kmsg.ApiVersionsResponse](c, 3, req).ErrorCode, "%q %q", name, version)
		}
	}
}

// Semantics line 4: below version 4 no feature has a minimum of 0, and no feature is finalized that would make clients
// switch to a protocol that is not served.
func TestLine4Features(t *testing.T) {
	c := dial(t, shared(t))
	for version := int16(3); version <= 4; version++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "semantics", "1"
		resp := ask[*kmsg.ApiVersionsResponse](c, version, req)
		for _, f := range resp.SupportedFeatures {
			require.True(t, version >= 4 || f.MinVersion > 0, "version %d: %s from 0", version, f.Name)
		}
		served := map[int16]bool{}
		for _, k := range resp.ApiKeys {
			served[k.ApiKey] = true
		}
		needs := map[string][]int16{"transaction.version": {24, 26, 28}, "group.version": {68, 69}}
		for _, f := range resp.FinalizedFeatures {
			for _, key := range needs[f.Name] {
				require.True(t, served[key], "%s is finalized without API %d", f.Name, key)
			}
		}
	}
}

// Semantics line 5: Produce is advertised from version 0, as librdkafka turns compression off otherwise, and closes the
// connection below 3.
func TestLine5ProduceIsAdvertisedFromZero(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	found := false
	for _, k := range ask[*kmsg.ApiVersionsResponse](c, 0, kmsg.NewPtrApiVersionsRequest()).ApiKeys {
		if k.ApiKey == 0 {
			found = true
			require.Zero(t, k.MinVersion)
			require.GreaterOrEqual(t, k.MaxVersion, int16(13))
		}
	}
	require.True(t, found)
	for version := int16(0); version < 3; version++ {
		c := dial(t, n)
		req := produceRequest(plain("old"), topic{name: "line5"})
		req.SetVersion(version)
		c.send(req)
		c.closed()
	}
}

// Semantics line 6: a version that is not served, or an unknown key, closes the connection; nothing is answered in
// another version.
func TestLine6UnsupportedVersionsClose(t *testing.T) {
	n := shared(t)
	for _, v := range api.Versions {
		for _, version := range []int16{v.Min - 1, v.Max + 1} {
			if version < 0 || v.Key == 18 {
				continue
			}
			c := dial(t, n)
			c.alive()
			c.write(frame(v.Key, version, 5, nil, make([]byte, 40)))
			c.closed()
		}
	}
	for _, key := range []int16{-1, 4, 77, 1000, 32767} {
		c := dial(t, n)
		c.write(frame(key, 0, 5, nil, make([]byte, 40)))
		c.closed()
	}
}

// Semantics line 7: in the flexible header the client id keeps its int16 length and may be null; tagged fields that
// nobody knows are skipped, in the header and in structs.
func TestLine7FlexibleHeaders(t *testing.T) {
	c := dial(t, shared(t))
	create(c, "line7", 1)
	req := kmsg.NewPtrMetadataRequest()
	req.SetVersion(12)
	in := kmsg.NewMetadataRequestTopic()
	in.Topic = kmsg.StringPtr("line7")
	tag := []byte{1, 50, 3, 'x', 'y', 'z'} // one field, number 50, 3 bytes
	in.UnknownTags.Set(40, []byte("of the topic"))
	req.Topics = append(req.Topics, in)
	req.UnknownTags.Set(41, []byte("of the request"))
	head := []byte{0, 3, 0, 12, 0, 0, 0, 9, 0xff, 0xff} // key 3, version 12, id 9, null client id
	for _, header := range [][]byte{append(clone(head), 0), append(clone(head), tag...)} {
		b := req.AppendTo(header)
		c.write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
		resp := receive[*kmsg.MetadataResponse](c, 9, req)
		require.Len(t, resp.Topics, 1)
		require.Zero(t, resp.Topics[0].ErrorCode)
		require.Len(t, resp.Topics[0].Partitions, 1)
	}
}

// Semantics line 8: replies come in the order of the requests, though a fetch that waits is among them; acks=0 has none
// and holds nothing up; when it fails the connection is closed.
func TestLine8OrderOfReplies(t *testing.T) {
	n := shared(t)
	c := dial(t, n)
	to := create(c, "line8", 1)
	wait := fetchRequest(0, to)
	wait.MaxWaitMillis = 300
	wait.SetVersion(12)
	silent := produceRequest(plain("acks=0"), to)
	silent.Acks = 0
	silent.SetVersion(11)
	loud := produceRequest(plain("acks=1"), to)
	loud.Acks = 1
	loud.SetVersion(11)
	versions := kmsg.NewPtrApiVersionsRequest()

	first := c.send(wait)
	second := c.send(versions)
	c.send(silent)
	third := c.send(loud)
	fourth := c.send(versions)
	receive[*kmsg.FetchResponse](c, first, wait)
	receive[*kmsg.ApiVersionsResponse](c, second, versions)
	p := receive[*kmsg.ProduceResponse](c, third, loud).Topics[0].Partitions[0]
	require.Zero(t, p.ErrorCode)
	require.Equal(t, int64(1), p.BaseOffset, "acks=0 came first")
	receive[*kmsg.ApiVersionsResponse](c, fourth, versions)
	require.Equal(t, []held{{0, "acks=0"}, {1, "acks=1"}}, everything(c, to))

	bad := produceRequest(plain("acks=0"), topic{name: "line8-is-not-there"})
	bad.Acks = 0
	bad.SetVersion(11)
	c.send(bad)
	c.closed()
}

// Connections are counted while they are open, and those that the agent closes are counted for good.
func TestConnectionsAreCounted(t *testing.T) {
	t.Parallel()
	n := newCluster(t).start(t, nil)
	for i := range 3 {
		good, bad := dial(t, n), dial(t, n)
		good.alive()
		bad.write(frame(77, 0, 1, nil, nil))
		bad.closed()
		eventually(t, "one connection is open", func() bool {
			bad.nc.Close()
			return n.figure(t, "wadi_connections") == 1
		})
		if got := n.figure(t, "wadi_connections_refused_total"); got != float64(i+1) {
			t.Errorf("%v refused", got)
		}
		good.nc.Close()
		eventually(t, "no connection is open", func() bool { return n.figure(t, "wadi_connections") == 0 })
	}
}
