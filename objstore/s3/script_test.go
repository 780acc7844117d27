package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"wadi/objstore"
	"wadi/objstore/s3"
	"wadi/objstore/steady"
)

// step answers one request.
type step func(http.ResponseWriter, *http.Request)

// scripted is a service that answers the nth request with the nth step, and every later one with the last.
type scripted struct {
	mu       sync.Mutex
	steps    []step
	requests []*http.Request
	bodies   []string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a torn upload shows in what was read
	s.mu.Lock()
	n := min(len(s.requests), len(s.steps)-1)
	s.requests = append(s.requests, r)
	s.bodies = append(s.bodies, string(body))
	s.mu.Unlock()
	s.steps[n](w, r)
}

func (s *scripted) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests)
}

// fail answers with an S3 error document.
func fail(status int, code string) step {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>scripted</Message></Error>", code)
		}
	}
}

func ok(headers ...string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
	}
}

// part answers a ranged GET: first-last of size, with these bytes as the body and, if declared is longer, cut short.
func part(first, size, declared int, body string) step {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+declared-1, size))
		w.Header().Set("Content-Length", strconv.Itoa(declared))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, body)
		if len(body) < declared {
			_ = http.NewResponseController(w).Flush() // the test fails if the part never arrives
			panic(http.ErrAbortHandler)
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func cut(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

var fast = steady.Config{Attempts: 4, Pause: time.Millisecond, MaxPause: 4 * time.Millisecond, Timeout: 5 * time.Second}

// script is a bucket of a scripted service, with repetitions around it as everywhere.
func script(t *testing.T, cfg steady.Config, steps ...step) (*steady.Store, *scripted) {
	t.Helper()
	service := &scripted{steps: steps}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	store, err := s3.New(t.Context(), s3.Config{
		Bucket: "bucket", Endpoint: server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("a", "s", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return steady.New(store, cfg), service
}

var hello = objstore.NewBody([]byte("hel"), []byte("lo"))

const helloCRC = "mnG7TA==" // of "hello"

func TestPutRequest(t *testing.T) {
	store, service := script(t, fast, ok())
	if err := store.Put(t.Context(), "a/b", hello); err != nil {
		t.Fatal(err)
	}
	r := service.requests[0]
	want := map[string]string{
		"If-None-Match": "*", "X-Amz-Checksum-Crc32c": helloCRC, "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
		"Content-Encoding": "", "X-Amz-Trailer": "", "Expect": "",
	}
	for h, v := range want {
		if got := r.Header.Get(h); got != v {
			t.Errorf("%s: %q, want %q", h, got, v)
		}
	}
	if r.Method != http.MethodPut || r.URL.Path != "/bucket/a/b" || r.ContentLength != 5 || service.bodies[0] != "hello" {
		t.Errorf("%s %s, %d bytes, %q", r.Method, r.URL.Path, r.ContentLength, service.bodies[0])
	}
	if !strings.Contains(r.Header.Get("Authorization"), "x-amz-checksum-crc32c") {
		t.Errorf("the checksum is not signed: %s", r.Header.Get("Authorization"))
	}
}

func TestPutOutcomes(t *testing.T) {
	exists, same := fail(412, "PreconditionFailed"), ok("x-amz-checksum-crc32c", helloCRC, "Content-Length", "5")
	for _, tc := range []struct {
		name     string
		steps    []step
		want     error
		requests int
	}{
		{"slow down, then fine", []step{fail(503, "SlowDown"), fail(503, "SlowDownWrite"), ok()}, nil, 3},
		{"slow down for ever", []step{fail(503, "SlowDown")}, objstore.ErrThrottled, 4},
		{"429", []step{fail(429, "Whatever")}, objstore.ErrThrottled, 4},
		{"conflict is repeated", []step{fail(409, "ConditionalRequestConflict"), ok()}, nil, 2},
		{"internal error", []step{fail(500, "InternalError"), fail(502, ""), ok()}, nil, 3},
		{"cut connection", []step{cut, ok()}, nil, 2},
		{"lost response", []step{cut, exists, same}, nil, 3},
		{"refused without an answer", []step{cut, cut, ok("Content-Length", "6")}, objstore.ErrExists, 3},
		{"there without an answer", []step{cut, cut, same}, nil, 3},
		{"not there and no answer", []step{cut, cut, fail(404, ""), ok()}, nil, 4},
		{"other size", []step{exists, ok("Content-Length", "6")}, objstore.ErrExists, 2},
		{"other checksum", []step{exists, ok("x-amz-checksum-crc32c", "AAAAAA==", "Content-Length", "5")}, objstore.ErrExists, 2},
		{"gone again", []step{exists, fail(404, ""), ok()}, nil, 3},
		{"compare fails once", []step{exists, fail(500, ""), exists, same}, nil, 4},
		{"conditional writes unsupported", []step{fail(501, "NotImplemented")}, nil, 1},
		{"denied", []step{fail(403, "InvalidAccessKeyId")}, objstore.ErrDenied, 3},
		{"denied by a race", []step{fail(403, "AccessDenied"), ok()}, nil, 2},
		{"bad digest on the way", []step{fail(400, "BadDigest"), ok()}, nil, 2},
		{"missing bucket is not a missing object", []step{fail(404, "NoSuchBucket")}, s3.ErrNoBucket, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, service := script(t, fast, tc.steps...)
			err := store.Put(t.Context(), "k", hello)
			last := strings.Contains(tc.name, "unsupported") || strings.Contains(tc.name, "missing bucket")
			if last && (err == nil || objstore.Outcome(err) != "error") || !last && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if got := service.count(); got != tc.requests {
				t.Errorf("%d requests, want %d", got, tc.requests)
			}
		})
	}
}

// A service that keeps no checksum: the bytes are compared.
func TestPutComparesBytes(t *testing.T) {
	for stored, want := range map[string]error{"hello": nil, "hellO": objstore.ErrExists} {
		store, _ := script(t, fast, fail(412, "PreconditionFailed"), ok("Content-Length", "5"),
			func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, stored) })
		if err := store.Put(t.Context(), "k", hello); !errors.Is(err, want) {
			t.Errorf("%s: %v", stored, err)
		}
	}
}

func TestPutChangedBufferIsNotRepeated(t *testing.T) {
	store, service := script(t, fast, fail(400, "BadDigest"))
	buf := []byte("hello")
	body := objstore.NewBody(buf)
	buf[0] = 'j'
	if err := store.Put(t.Context(), "k", body); !errors.Is(err, objstore.ErrCorrupt) || service.count() != 1 {
		t.Fatalf("%v after %d requests", err, service.count())
	}
}

func TestGetOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []step
		want  error
	}{
		{"fine", []step{part(2, 10, 5, "hello")}, nil},
		{"short body once", []step{part(2, 10, 5, "he"), part(2, 10, 5, "hello")}, nil},
		{"short body for ever", []step{part(2, 10, 5, "he")}, objstore.ErrCorrupt},
		{"cut to the end of the object", []step{part(2, 6, 4, "hell")}, objstore.ErrRange},
		{"beyond the object", []step{fail(416, "InvalidRange"), part(0, 1, 1, "x")}, objstore.ErrRange},
		{"missing", []step{fail(404, "NoSuchKey")}, objstore.ErrNotFound},
		{"throttled", []step{fail(503, "SlowDown"), part(2, 10, 5, "hello")}, nil},
		{"other range", []step{part(0, 10, 5, "hello")}, nil},
		{"missing bucket is not a missing object", []step{fail(404, "NoSuchBucket")}, s3.ErrNoBucket},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := script(t, fast, tc.steps...)
			got, err := store.Get(t.Context(), "k", 2, 5)
			switch {
			case strings.HasPrefix(tc.name, "other range"), strings.HasPrefix(tc.name, "missing bucket"):
				if objstore.Outcome(err) != "error" {
					t.Fatalf("%v", err)
				}
			case !errors.Is(err, tc.want):
				t.Fatalf("error %v, want %v", err, tc.want)
			case tc.want == nil && string(got) != "hello":
				t.Fatalf("%q", got)
			}
		})
	}
}

// An attempt that hangs ends at its own deadline; the caller's context has not ended and is not blamed.
func TestHangingAttempt(t *testing.T) {
	patience := fast
	// A request reaches a server of this process in less, unless the machine is busy.
	for patience.Timeout = 300 * time.Millisecond; ; patience.Timeout *= 8 {
		last := patience.Timeout > 10*time.Second
		store, _ := script(t, patience, hang, ok())
		err := store.Put(t.Context(), "k", hello)
		if err != nil && last {
			t.Fatal(err)
		}
		store, service := script(t, patience, hang)
		hung := store.Put(t.Context(), "k", hello)
		if hung == nil || errors.Is(hung, context.DeadlineExceeded) || errors.Is(hung, context.Canceled) || last && service.count() != 4 {
			t.Fatalf("%v after %d requests", hung, service.count())
		}
		if err == nil && service.count() == 4 {
			return
		}
	}
}

func TestHangUntilContextEnds(t *testing.T) {
	store, _ := script(t, fast, hang)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := store.Put(ctx, "k", hello); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	// The pause between attempts ends with the context too.
	slow := steady.Config{Pause: time.Hour, MaxPause: time.Hour}
	for within := 500 * time.Millisecond; ; within *= 8 { // a busy machine may take that long for the attempt itself
		store, _ = script(t, slow, fail(503, "SlowDown"))
		ctx, cancel = context.WithTimeout(t.Context(), within)
		defer cancel()
		err := store.Put(ctx, "k", hello)
		if errors.Is(err, context.DeadlineExceeded) && errors.Is(err, objstore.ErrThrottled) {
			return
		}
		if !errors.Is(err, context.DeadlineExceeded) || within > 30*time.Second {
			t.Fatal(err)
		}
	}
}

// When Put has returned, for whatever reason, the buffer may be written to: the race detector watches.
func TestBufferIsFreeAfterPut(t *testing.T) {
	// The service reads nothing of the upload, so the transport is in the middle of it when the deadline comes.
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	patience := steady.Config{Attempts: 2, Pause: time.Millisecond, Timeout: 20 * time.Millisecond, BytesPerSecond: 1 << 40}
	store, err := s3.New(t.Context(), s3.Config{
		Bucket: "bucket", Endpoint: server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("a", "s", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	buf := make([]byte, 32<<20)
	if err := steady.New(store, patience).Put(t.Context(), "k", objstore.NewBody(buf)); err == nil {
		t.Fatal("a put that nobody read succeeded")
	}
	for i := range buf {
		buf[i] = 1
	}
}

func TestDeletePerKeyErrors(t *testing.T) {
	answer := func(keyErrors ...string) step {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<DeleteResult>")
			for i := 0; i < len(keyErrors); i += 2 {
				fmt.Fprintf(w, "<Error><Key>%s</Key><Code>%s</Code></Error>", keyErrors[i], keyErrors[i+1])
			}
			_, _ = io.WriteString(w, "</DeleteResult>")
		}
	}
	store, service := script(t, fast, answer("b", "SlowDown", "c", "InternalError", "d", "NoSuchKey"), answer())
	if err := store.Delete(t.Context(), []string{"a", "b", "c", "d"}); err != nil {
		t.Fatal(err)
	}
	if n := service.count(); n != 2 {
		t.Errorf("%d requests", n)
	}
	store, service = script(t, fast, answer("a", "InternalError", "b", "AccessDenied"))
	err := store.Delete(t.Context(), []string{"a", "b"})
	if !errors.Is(err, objstore.ErrDenied) || service.count() != 1 {
		t.Fatalf("%v after %d requests", err, service.count())
	}
}

func TestListPages(t *testing.T) {
	page := func(token string, keys ...string) step {
		return func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated>", token != "")
			if token != "" {
				fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken>", token)
			}
			for _, k := range keys {
				fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>1</Size></Contents>", k)
			}
			_, _ = io.WriteString(w, "</ListBucketResult>")
		}
	}
	store, service := script(t, fast, page("t1", "a", "b+"), page("t2"), page("", "c"))
	infos, err := store.List(t.Context(), "", "", 10)
	if err != nil || len(infos) != 2 || infos[1].Key != "c" || service.count() != 3 {
		t.Fatalf("%v, %v, %d requests", infos, err, service.count())
	}
	if got := service.requests[2].URL.Query().Get("continuation-token"); got != "t2" {
		t.Errorf("token %q", got)
	}
	store, _ = script(t, fast, page("", "b", "a"))
	if _, err := store.List(t.Context(), "", "", 10); err == nil {
		t.Error("a list out of order was accepted")
	}
	store, _ = script(t, fast, page("same"))
	if _, err := store.List(t.Context(), "", "", 10); err == nil {
		t.Error("an endless list ended well")
	}
}

func TestDate(t *testing.T) {
	store, _ := script(t, fast, ok("Date", "Sun, 06 Nov 1994 08:49:37 GMT"))
	if d, err := store.Date(t.Context()); err != nil || !d.Equal(time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)) {
		t.Fatalf("%v, %v", d, err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []s3.Config{
		{}, {Bucket: "b", Endpoint: "127.0.0.1:9000"}, {Bucket: "b", Endpoint: "http://"}, {Bucket: "b", Endpoint: "ftp://x"},
		{Bucket: "b", Endpoint: "http://user:secret@x"},
	} {
		if _, err := s3.New(t.Context(), cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}
