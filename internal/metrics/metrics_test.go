package metrics

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// recorder notes what New registers.
type recorder struct{ rows []string }

var description = regexp.MustCompile(`fqName: "([^"]*)", help: "([^"]*)", .*variableLabels: \{([^}]*)\}`)

func (r *recorder) Register(c prometheus.Collector) error {
	kind := ""
	switch c.(type) {
	case *prometheus.CounterVec, prometheus.Counter:
		kind = "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		kind = "histogram"
	case *prometheus.GaugeVec:
		kind = "gauge"
	}
	if _, ok := c.(prometheus.Gauge); ok {
		kind = "gauge" // a gauge has a counter's methods too
	}
	ch := make(chan *prometheus.Desc, 10)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		m := description.FindStringSubmatch(d.String())
		labels := "none"
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		r.rows = append(r.rows, "| `"+m[1]+"` | "+kind+" | "+labels+" | "+m[2]+" |")
	}
	return nil
}

// docs/metrics.md describes the metrics that are registered, and these are the ones that were promised.
func TestDocumentation(t *testing.T) {
	var r recorder
	_, err := New(&r)
	require.NoError(t, err)
	doc, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	var got []string
	for _, line := range strings.Split(string(doc), "\n") {
		if strings.HasPrefix(line, "| `wadi_") {
			got = append(got, line)
		}
	}
	require.Equal(t, strings.Join(r.rows, "\n"), strings.Join(got, "\n"))
	for _, promised := range []string{
		"| `wadi_object_requests_total` | counter | `op`, `code` |",
		"| `wadi_object_bytes_total` | counter | `op` |",
		"| `wadi_journal_appends_total` | counter | none |",
		"| `wadi_journal_append_seconds` | histogram | none |",
		"| `wadi_apply_seconds` | histogram | none |",
		"| `wadi_view_lag_seconds` | gauge | none |",
		"| `wadi_flush_seconds` | histogram | `path` |",
		"| `wadi_request_seconds` | histogram | `api` |",
		"| `wadi_state_bytes` | gauge | `class` |",
	} {
		require.Contains(t, string(doc), promised)
	}
}

func TestSetsAreIndependent(t *testing.T) {
	one, other := prometheus.NewRegistry(), prometheus.NewRegistry()
	set, err := New(one)
	require.NoError(t, err)
	_, err = New(other)
	require.NoError(t, err)
	set.JournalAppends.Inc()
	require.Equal(t, "wadi_journal_appends_total 1", series(one, "wadi_journal_appends_total"))
	require.Equal(t, "wadi_journal_appends_total 0", series(other, "wadi_journal_appends_total"))
}

func TestSecondSetInOneRegistryIsRefused(t *testing.T) {
	reg, err := NewRegistry()
	require.NoError(t, err)
	_, err = New(reg)
	require.NoError(t, err)
	_, err = New(reg)
	require.ErrorAs(t, err, new(prometheus.AlreadyRegisteredError))
	families, err := reg.Gather()
	require.NoError(t, err)
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	require.Contains(t, names, "process_cpu_seconds_total")
	require.Contains(t, names, "go_goroutines")
	require.Contains(t, names, "wadi_apply_seconds")
}
