package s3_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"wadi/internal/busy"
	"wadi/objstore/s3"
	"wadi/objstore/steady"
)

// TestDeadConnections: connections that were open before a firewall forgot them take requests and bring no answer. The
// first one that shows it takes the other idle ones along, so that the next attempt is on a new connection.
func TestDeadConnections(t *testing.T) {
	type connection struct{}
	var mu sync.Mutex
	dead, conns := map[net.Conn]bool{}, map[net.Conn]bool{}
	stop := make(chan struct{})
	together := make(chan struct{}) // lets the first requests meet, so that each has a connection of its own
	const n = 8
	met := make(chan struct{}, 100*n) // a request that comes again is met again
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(connection{}).(net.Conn)
		mu.Lock()
		conns[conn] = true
		isDead := dead[conn]
		mu.Unlock()
		if isDead {
			<-stop
			return
		}
		select {
		case <-together:
		default:
			met <- struct{}{}
			<-together
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Length", "1")
		w.Write([]byte("x"))
	}))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connection{}, c)
	}
	server.Start()
	defer server.Close()
	defer close(stop)
	bucket, err := s3.New(t.Context(), s3.Config{
		Bucket: "bucket", Endpoint: server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("a", "s", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	store := steady.New(bucket, steady.Config{Pause: time.Millisecond, Timeout: 2 * time.Second})
	defer store.Close()

	var done sync.WaitGroup
	for range n {
		done.Go(func() {
			if _, err := store.Get(t.Context(), "k", 0, 1); err != nil {
				t.Error(err)
			}
		})
	}
	for range n {
		<-met
	}
	close(together)
	done.Wait()
	mu.Lock()
	for c := range conns {
		dead[c] = true
	}
	idle := len(dead)
	mu.Unlock()
	if idle < n {
		t.Fatalf("%d connections", idle)
	}
	began, waited := time.Now(), busy.Since()
	if _, err := store.Get(t.Context(), "k", 0, 1); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 1500*time.Millisecond+waited() {
		t.Errorf("%v with %d dead connections; one attempt of 500ms should have shown it", took, idle)
	}
}
