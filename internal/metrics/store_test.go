package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"wadi/objstore"
)

// scripted answers every call with err.
type scripted struct{ err error }

func (s *scripted) Put(context.Context, string, objstore.Body) error { return s.err }
func (s *scripted) Get(context.Context, string, int64, int64) ([]byte, error) {
	return []byte("four"), s.err
}
func (s *scripted) List(context.Context, string, string, int) ([]objstore.Info, error) {
	return []objstore.Info{{Key: "k"}}, s.err
}
func (s *scripted) Delete(context.Context, []string) error { return s.err }
func (s *scripted) Begin(_ context.Context, key string) (objstore.Upload, error) {
	return objstore.Upload{Key: key, ID: "u"}, s.err
}
func (s *scripted) PutPart(_ context.Context, _ objstore.Upload, n int, b objstore.Body) (objstore.Part, error) {
	return objstore.Part{Number: n, Size: b.Size()}, s.err
}
func (s *scripted) Complete(context.Context, objstore.Upload, []objstore.Part) error { return s.err }
func (s *scripted) Abandon(context.Context, objstore.Upload) error                   { return s.err }
func (s *scripted) Uploads(context.Context, string, string, int) ([]objstore.UploadInfo, error) {
	return []objstore.UploadInfo{{Upload: objstore.Upload{Key: "k"}}}, s.err
}
func (s *scripted) Date(context.Context) (time.Time, error) { return time.Unix(7, 0), s.err }

func TestStoreCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	set, err := New(reg)
	require.NoError(t, err)
	next := &scripted{}
	s := Store(next, set)
	ctx := context.Background()

	require.NoError(t, s.Put(ctx, "k", objstore.NewBody([]byte("ab"), []byte("c"))))
	got, err := s.Get(ctx, "k", 0, -1)
	require.NoError(t, err)
	require.Equal(t, "four", string(got))
	infos, err := s.List(ctx, "", "", 10)
	require.NoError(t, err)
	require.Len(t, infos, 1)
	require.NoError(t, s.Delete(ctx, []string{"k"}))
	date, err := s.Date(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(7), date.Unix())
	up, err := s.Begin(ctx, "big")
	require.NoError(t, err)
	require.Equal(t, objstore.Upload{Key: "big", ID: "u"}, up)
	part, err := s.PutPart(ctx, up, 2, objstore.NewBody([]byte("12345")))
	require.NoError(t, err)
	require.Equal(t, objstore.Part{Number: 2, Size: 5}, part)
	require.NoError(t, s.Abandon(ctx, up))
	uploads, err := s.Uploads(ctx, "", "", 1)
	require.NoError(t, err)
	require.Len(t, uploads, 1)

	// Failed bodies are not counted: how much of them travelled is not known.
	next.err = fmt.Errorf("put k: %w", objstore.ErrThrottled)
	require.ErrorIs(t, s.Put(ctx, "k", objstore.NewBody([]byte("abc"))), objstore.ErrThrottled)
	_, err = s.PutPart(ctx, up, 3, objstore.NewBody([]byte("123")))
	require.ErrorIs(t, err, objstore.ErrThrottled)
	next.err = objstore.ErrConflict
	require.ErrorIs(t, s.Complete(ctx, up, nil), objstore.ErrConflict)
	next.err = objstore.ErrNotFound
	_, err = s.Get(ctx, "k", 0, -1)
	require.ErrorIs(t, err, objstore.ErrNotFound)

	require.Equal(t, strings.TrimSpace(`
wadi_object_bytes_total{op="get"} 4
wadi_object_bytes_total{op="put"} 8
wadi_object_requests_total{code="conflict",op="complete"} 1
wadi_object_requests_total{code="not_found",op="get"} 1
wadi_object_requests_total{code="ok",op="abandon"} 1
wadi_object_requests_total{code="ok",op="begin"} 1
wadi_object_requests_total{code="ok",op="date"} 1
wadi_object_requests_total{code="ok",op="delete"} 1
wadi_object_requests_total{code="ok",op="get"} 1
wadi_object_requests_total{code="ok",op="list"} 1
wadi_object_requests_total{code="ok",op="part"} 1
wadi_object_requests_total{code="ok",op="put"} 1
wadi_object_requests_total{code="ok",op="uploads"} 1
wadi_object_requests_total{code="throttled",op="part"} 1
wadi_object_requests_total{code="throttled",op="put"} 1
`), series(reg, "wadi_object_"))
}

// series is what a scrape shows of the metrics with a prefix.
func series(reg *prometheus.Registry, prefix string) string {
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var out []string
	for _, line := range strings.Split(w.Body.String(), "\n") {
		if strings.HasPrefix(line, prefix) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func TestCode(t *testing.T) {
	for err, want := range map[error]string{
		nil:                      "ok",
		objstore.ErrNotFound:     "not_found",
		objstore.ErrExists:       "exists",
		objstore.ErrConflict:     "conflict",
		objstore.ErrRange:        "range",
		objstore.ErrThrottled:    "throttled",
		objstore.ErrCorrupt:      "corrupt",
		objstore.ErrDenied:       "denied",
		context.Canceled:         "canceled",
		errors.New("connection"): "error",
		fmt.Errorf("get: %w", context.DeadlineExceeded): "deadline",
	} {
		require.Equal(t, want, Code(err))
	}
}
