package open_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	minioclient "github.com/minio/minio-go/v7"

	"wadi/integration/minio"
	"wadi/integration/s3server"
	"wadi/integration/versitygw"
	"wadi/objstore"
	"wadi/objstore/open"
	"wadi/objstore/s3"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]open.Location{
		"mem://":            {Scheme: "mem"},
		"file:///var/wadi":  {Scheme: "file", Path: "/var/wadi"},
		"file:///a/../b%20": {Scheme: "file", Path: "/b "},
		"s3://bkt":          {Scheme: "s3", Bucket: "bkt"},
		"s3://bkt/":         {Scheme: "s3", Bucket: "bkt"},
		"s3://bkt/a/b/?region=eu-west-1&endpoint=http://127.0.0.1:9000": {
			Scheme: "s3", Bucket: "bkt", Prefix: "a/b", Region: "eu-west-1", Endpoint: "http://127.0.0.1:9000",
		},
	} {
		if got, err := open.Parse(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, says := range map[string]string{
		"":                                     "empty",
		"/var/wadi":                            "file:///path",
		"wadi-data":                            "file:///path",
		"gs://bucket":                          `unknown scheme "gs"`,
		"s3:bucket":                            "no bucket",
		"s3://":                                "no bucket",
		"s3:///prefix":                         "no bucket",
		"s3://Bucket":                          "not a bucket's name",
		"s3://bkt:80":                          "not a bucket's name",
		"s3://b":                               "not a bucket's name",
		"s3://bkt/a//b":                        "bad element",
		"s3://bkt/../b":                        "bad element",
		"s3://bkt/" + strings.Repeat("p", 124): "limit",
		"s3://bkt?endpont=http://x":            `unknown parameter "endpont"; it takes endpoint and region`,
		"s3://bkt?region=a&region=b":           "exactly one value",
		"s3://bkt?region=":                     "exactly one value",
		"s3://bkt?endpoint=127.0.0.1:9000":     "endpoint must be",
		"s3://bkt?endpoint=ftp://x":            "endpoint must be",
		"s3://bkt#x":                           "unexpected #x",
		"s3://bkt?%zz":                         "malformed",
		"file://data/x":                        "absolute",
		"file:data":                            "absolute",
		"file:///data?x=1":                     "it takes none",
		"mem://x":                              "no name",
		"mem:///x":                             "no name",
		"s3://key:hunter2@bkt":                 "credentials do not belong",
		"s3://bkt\x7f:hunter2@":                "not a URL",
	} {
		_, err := open.Parse(text)
		if !errors.Is(err, open.ErrURL) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error tells the password: %v", text, err)
		}
		// Regression R7: an error, never another store.
		if s, err := open.Open(t.Context(), text, open.Options{}); err == nil || s != nil {
			t.Errorf("%q opened %T", text, s)
		}
	}
}

func TestOpenMemory(t *testing.T) {
	s, err := open.Open(t.Context(), "mem://", open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", objstore.NewBody(nil)); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	if s, err := open.Open(t.Context(), "file://"+dir, open.Options{ReadOnly: true}); !errors.Is(err, objstore.ErrNotFound) || s != nil {
		t.Fatalf("a missing directory opened for reading: %v, %v", s, err)
	}
	s, err := open.Open(t.Context(), "file://"+dir, open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "a", objstore.NewBody([]byte("x"))); err != nil {
		t.Fatal(err)
	}
	if err := objstore.Close(s); err != nil {
		t.Fatal(err)
	}
	if s, err = open.Open(t.Context(), "file://"+dir, open.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(t.Context(), "a", 0, -1); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, readOnly := range []bool{false, true} {
		if s, err := open.Open(t.Context(), "file://"+notDir, open.Options{ReadOnly: readOnly}); err == nil || s != nil {
			t.Fatalf("a file opened as a store: %v", s)
		}
	}
}

func credentials(t *testing.T, access, secret string) {
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

func fake(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return "s3://bucket?endpoint=" + server.URL
}

func TestOpenRefusesUnconditionalService(t *testing.T) {
	credentials(t, "a", "s")
	url := fake(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	if s, err := open.Open(t.Context(), url, open.Options{}); !errors.Is(err, open.ErrUnconditional) || s != nil {
		t.Fatalf("%v, %v", s, err)
	}
}

func TestOpenEndsWithContext(t *testing.T) {
	credentials(t, "a", "s")
	url := fake(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the client leave
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	for _, readOnly := range []bool{false, true} {
		s, err := open.Open(ctx, url, open.Options{ReadOnly: readOnly})
		if !errors.Is(err, context.DeadlineExceeded) || s != nil {
			t.Fatalf("%v, %v", s, err)
		}
	}
}

func TestOpenServices(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *s3server.Server{"minio": minio.Start, "versitygw": versitygw.Start} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			bucket := server.NewBucket(t)
			credentials(t, server.AccessKey, server.SecretKey)

			s, err := open.Open(t.Context(), server.URL(bucket+"/team/a"), open.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer objstore.Close(s)
			for o := range server.Client(t).ListObjects(t.Context(), bucket, minioclient.ListObjectsOptions{Recursive: true}) {
				t.Errorf("the check left %q, %v", o.Key, o.Err)
			}
			if err := s.Put(t.Context(), "demo/x", objstore.NewBody([]byte("x"))); err != nil {
				t.Fatal(err)
			}
			if _, err := server.Client(t).StatObject(t.Context(), bucket, "team/a/demo/x", minioclient.StatObjectOptions{}); err != nil {
				t.Fatalf("the prefix is not joined exactly once: %v", err)
			}

			for _, readOnly := range []bool{false, true} {
				if s, err := open.Open(t.Context(), server.URL("no-such-bucket"), open.Options{ReadOnly: readOnly}); !errors.Is(err, s3.ErrNoBucket) || s != nil {
					t.Errorf("missing bucket: %v", err)
				}
			}
			credentials(t, server.AccessKey, "wrong-secret")
			if s, err := open.Open(t.Context(), server.URL(bucket), open.Options{}); !errors.Is(err, objstore.ErrDenied) || s != nil {
				t.Errorf("wrong secret: %v", err)
			}
		})
	}
}

// Services are kept steady, files and memory are not.
func TestSteadiness(t *testing.T) {
	for url, hedges := range map[string]bool{"s3://bkt/a": true, "file:///tmp": false, "mem://": false} {
		cfg, err := open.Steadiness(url)
		if err != nil || cfg.Hedge.Quantile > 0 != hedges || cfg.Limit.Max > 0 != hedges {
			t.Errorf("%s: %+v, %v", url, cfg, err)
		}
	}
	if _, err := open.Steadiness("gs://x"); !errors.Is(err, open.ErrURL) {
		t.Error(err)
	}
	credentials(t, "a", "s")
	server := &service{}
	url := fake(t, server.serve)
	for _, bare := range []bool{false, true} {
		s, err := open.Open(t.Context(), url, open.Options{ReadOnly: true, Bare: bare})
		if err != nil {
			t.Fatal(err)
		}
		server.broken.Store(1)
		if _, err := s.List(t.Context(), "", "", 1); (err != nil) != bare {
			t.Errorf("bare %v: %v", bare, err)
		}
		if err := objstore.Close(s); err != nil {
			t.Error(err)
		}
		server.broken.Store(0)
	}
}

// service lists nothing, after as many failures as it is told.
type service struct{ broken atomic.Int64 }

func (s *service) serve(w http.ResponseWriter, _ *http.Request) {
	if s.broken.Add(-1) >= 0 {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
}

func TestOpenUnreachable(t *testing.T) {
	credentials(t, "a", "s")
	server := httptest.NewServer(nil)
	server.Close()
	for within := time.Second; ; within *= 8 { // a busy machine may take that long for the first attempt
		ctx, cancel := context.WithTimeout(t.Context(), within)
		s, err := open.Open(ctx, "s3://bucket?endpoint="+server.URL, open.Options{})
		cancel()
		if err != nil && s == nil && strings.Contains(err.Error(), "refused") {
			return
		}
		if err == nil || s != nil || within > time.Minute {
			t.Fatalf("%v, %v", s, err)
		}
	}
}
