package api

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const apisPage = "../../docs/kafka-apis.md"

var apiRow = regexp.MustCompile(`^\| (\d+) \| (\w+) \| (no|\d+-\d+) \| ([^|]+) \| ([^|]*) \|$`)

// docs/kafka-apis.md has every API key once, says of each served one what is in Versions, and of the others why not.
// With -update the column is written from Versions; the remarks are not.
func TestKafkaAPIsPage(t *testing.T) {
	page, err := os.ReadFile(apisPage)
	require.NoError(t, err)
	served := map[int]string{}
	for _, v := range Versions {
		text := fmt.Sprintf("%d-%d", v.Min, v.Max)
		if v.AdvertisedMin != v.Min {
			text += fmt.Sprintf(" (advertised from %d)", v.AdvertisedMin)
		}
		served[int(v.Key)] = text
	}
	lines := strings.Split(string(page), "\n")
	next := 0
	for i, line := range lines {
		if !regexp.MustCompile(`^\| \d`).MatchString(line) {
			continue
		}
		m := apiRow.FindStringSubmatch(line)
		require.NotNil(t, m, "not a row: %s", line)
		key, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		require.Equal(t, next, key, "the rows are in the order of keys")
		next++
		want, ok := served[key]
		if !ok {
			want = "no"
		}
		delete(served, key)
		if *update {
			lines[i] = fmt.Sprintf("| %s | %s | %s | %s | %s |", m[1], m[2], m[3], want, m[5])
			continue
		}
		require.Equal(t, want, m[4], "%s: run this test with -update", m[2])
		if !ok {
			require.NotEmpty(t, strings.TrimSpace(m[5]), "%s is not served, and why", m[2])
			continue
		}
		require.NotEqual(t, "no", m[3], "%s is served and not by Kafka", m[2])
		for _, v := range Versions {
			if int(v.Key) == key {
				require.Equal(t, v.Name, m[2])
			}
		}
	}
	require.Empty(t, served, "served and without a row")
	require.GreaterOrEqual(t, next, 93)
	require.NotNil(t, kmsg.RequestForKey(int16(next-1)), "there is no such key")
	if *update {
		require.NoError(t, os.WriteFile(apisPage, []byte(strings.Join(lines, "\n")), 0o644))
	}
}
