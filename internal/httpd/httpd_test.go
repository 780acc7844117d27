package httpd

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func options(ready bool, reason string) Options {
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "wadi_test", Help: "A gauge."}))
	return Options{
		Ready:    func() (bool, string) { return ready, reason },
		Gatherer: reg,
		Extra: map[string]http.Handler{"/debug/locate": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.URL.Query().Get("topic"))
		})},
		Log: slog.New(slog.DiscardHandler),
	}
}

func TestPaths(t *testing.T) {
	cases := []struct {
		ready          bool
		reason         string
		method, path   string
		code           int
		body, contains string
	}{
		{ready: false, reason: "starting", path: "/healthz", code: 200, body: "ok\n"},
		{ready: true, path: "/readyz", code: 200, body: "ready\n"},
		{ready: true, reason: "metadata-unreachable", path: "/readyz", code: 200, body: "ready: metadata-unreachable\n"},
		{ready: false, reason: "the view is behind", path: "/readyz", code: 503, body: "not ready: the view is behind\n"},
		{path: "/metrics", code: 200, contains: "wadi_test 0"},
		{path: "/debug/pprof/", code: 200, contains: "goroutine"},
		{path: "/debug/pprof/goroutine?debug=1", code: 200, contains: "goroutine profile"},
		{path: "/debug/pprof/cmdline", code: 200, contains: "httpd"},
		{path: "/debug/locate?topic=orders", code: 200, body: "orders"},
		{path: "/", code: 404, contains: "not found"},
		{method: http.MethodPost, path: "/readyz", code: 405, contains: "Method Not Allowed"},
	}
	for _, c := range cases {
		t.Run(c.method+c.path, func(t *testing.T) {
			if c.method == "" {
				c.method = http.MethodGet
			}
			w := httptest.NewRecorder()
			Handler(options(c.ready, c.reason)).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			require.Equal(t, c.code, w.Code)
			if c.body != "" {
				require.Equal(t, c.body, w.Body.String())
			}
			require.Contains(t, w.Body.String(), c.contains)
		})
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, socket, options(true, "")) }()
	answer, err := http.Get("http://" + socket.Addr().String() + "/healthz")
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "ok\n", string(body))
	cancel()
	require.NoError(t, <-ended)
	_, err = net.Dial("tcp", socket.Addr().String())
	require.Error(t, err, "the socket is still open")
}

func TestRunReportsALostSocket(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, socket.Close())
	require.ErrorIs(t, Run(context.Background(), socket, options(true, "")), net.ErrClosed)
}
