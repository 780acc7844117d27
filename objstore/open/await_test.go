package open_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wadi/integration/ports"
	"wadi/objstore"
	"wadi/objstore/open"
	"wadi/objstore/s3"
)

func s3url(address string) string { return "s3://bkt?region=us-east-1&endpoint=http://" + address }

// TestAwaitWaitsForAServiceThatIsNotThere: an agent that starts before its store is no failure (invariant L4).
func TestAwaitWaitsForAServiceThatIsNotThere(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	port, err := ports.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if _, err := open.Open(ctx, s3url(address), open.Options{}); !s3.Transient(err) {
		t.Errorf("refused connection: %v", err)
	}
	if _, err := open.Await(ctx, s3url(address), open.Options{}, slog.New(slog.DiscardHandler)); err == nil || ctx.Err() == nil {
		t.Errorf("gave up before its context: %v", err)
	}
}

// TestAwaitEndsAtOnceWhereNothingWillChange: what the service refuses is said, and nobody waits.
func TestAwaitEndsAtOnceWhereNothingWillChange(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	for code, status := range map[string]int{"NoSuchBucket": 404, "AccessDenied": 403, "NotImplemented": 501} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			w.Write([]byte("<Error><Code>" + code + "</Code><Message>no</Message></Error>"))
		}))
		address := strings.TrimPrefix(server.URL, "http://")
		var store objstore.Store
		store, err := open.Await(t.Context(), s3url(address), open.Options{}, slog.New(slog.DiscardHandler))
		if err == nil || store != nil {
			t.Errorf("%s: %v", code, err)
		}
		server.Close()
	}
	if _, err := open.Await(t.Context(), "gs://bucket", open.Options{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("an unknown scheme was opened")
	}
}
