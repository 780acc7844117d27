package api

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

var headerComment = regexp.MustCompile(`(?m)^// (\w+): key (\d+), versions (\d+) to (\d+)(?:, advertised from (\d+))?\.$`)

// Each NN_name.go states its key and versions; Versions, the handlers and the ApiVersions answer say the same.
func TestFilesTableAndAnswerAgree(t *testing.T) {
	files, err := filepath.Glob("[0-9][0-9]_*.go")
	require.NoError(t, err)
	stated := map[int16]Served{}
	for _, f := range files {
		src, err := os.ReadFile(f)
		require.NoError(t, err)
		m := headerComment.FindSubmatch(src)
		if m == nil {
			require.Regexp(t, `_(test|encode)\.go$`, f, "no header comment")
			continue
		}
		num := func(i int) int16 {
			n, err := strconv.ParseInt(string(m[i]), 10, 16)
			require.NoError(t, err)
			return int16(n)
		}
		s := Served{Key: num(2), Name: string(m[1]), Min: num(3), Max: num(4), AdvertisedMin: num(3)}
		if len(m[5]) > 0 {
			s.AdvertisedMin = num(5)
		}
		require.Equal(t, fmt.Sprintf("%02d", s.Key), f[:2], f)
		require.NotContains(t, stated, s.Key, f)
		stated[s.Key] = s
	}
	require.Len(t, Versions, len(stated))
	for _, v := range Versions {
		require.Equal(t, stated[v.Key], Served{Key: v.Key, Name: v.Name, Min: v.Min, Max: v.Max, AdvertisedMin: v.AdvertisedMin})
		require.Equal(t, v.Key, v.new().Key())
	}
	_, err = New(Deps{}).Table() // Every row has a handler and every handler a row.
	require.NoError(t, err)

	c := newCluster(t).dial()
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrApiVersionsRequest()
		req.SetVersion(version)
		req.ClientSoftwareName, req.ClientSoftwareVersion = "a", "1.0-b"
		resp := c.ask(req).(*kmsg.ApiVersionsResponse)
		require.Zero(t, resp.ErrorCode)
		require.Len(t, resp.ApiKeys, len(stated))
		for _, k := range resp.ApiKeys {
			require.Equal(t, stated[k.ApiKey].AdvertisedMin, k.MinVersion)
			require.Equal(t, stated[k.ApiKey].Max, k.MaxVersion)
		}
		checkFeatures(t, version, resp)
	}
}

// Semantics line 4: what is finalized is served. Supported features whose lowest level is 0 break clients of version 3
// (KAFKA-17492).
func checkFeatures(t *testing.T, version int16, resp *kmsg.ApiVersionsResponse) {
	finalized, supported := map[string]int16{}, map[string]int16{}
	for _, f := range resp.FinalizedFeatures {
		require.Equal(t, f.MinVersionLevel, f.MaxVersionLevel)
		finalized[f.Name] = f.MaxVersionLevel
	}
	for _, f := range resp.SupportedFeatures {
		require.Zero(t, f.MinVersion)
		supported[f.Name] = f.MaxVersion
	}
	all := map[string]int16{"group.version": 1, "transaction.version": 2}
	switch {
	case version < 3:
		require.Empty(t, finalized)
	case version == 3:
		require.Equal(t, all, finalized)
		require.Empty(t, supported)
		require.Equal(t, int64(1), resp.FinalizedFeaturesEpoch)
	default:
		require.Equal(t, all, finalized)
		require.Equal(t, all, supported)
	}
	for _, f := range features {
		for key, version := range f.needs {
			served := false
			for _, v := range Versions {
				served = served || v.Key == key && v.Min <= version && version <= v.Max
			}
			require.True(t, served, "%s needs version %d of key %d", f.name, version, key)
		}
	}
}

// Semantics line 5: librdkafka turns compression off where Produce is not advertised from 0.
func TestProduceIsAdvertisedFromZero(t *testing.T) {
	require.Equal(t, int16(0), Versions[0].AdvertisedMin)
	require.Equal(t, int16(3), Versions[0].Min)
}

// Semantics line 3: names that do not match are refused, on a connection that goes on.
func TestApiVersionsChecksTheSoftware(t *testing.T) {
	c := newCluster(t).dial()
	for _, name := range []string{"", "-x", "x-", "a b", "a/b", "ä", "x."} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.SetVersion(3)
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, "1"
		resp := c.ask(req).(*kmsg.ApiVersionsResponse)
		require.Equal(t, int16(42), resp.ErrorCode, name)
		// Semantics line 2: an array without elements is not a null array, which breaks librdkafka.
		require.Equal(t, []byte{0, 42, 1}, resp.AppendTo(nil)[:3], name)
	}
	for _, name := range []string{"librdkafka", "a", "apache-kafka-java", "k.1"} {
		require.True(t, validSoftware(name))
	}
}

var _ server.Encoder = (*fetchReply)(nil)
