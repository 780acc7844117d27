// Package httpd is an agent's operations endpoint: /healthz, /readyz, /metrics, /debug/pprof and what the agent adds.
// It speaks plain HTTP without authentication and belongs on a loopback or private address.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	// writeTimeout leaves room for a CPU profile of a minute, the longest answer there is.
	writeTimeout   = 90 * time.Second
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 3 * time.Second
	maxHeaderBytes = 16 << 10
	maxScrapes     = 4 // at once: a scrape costs a copy of every series
)

// Options is what the endpoint shows.
type Options struct {
	// Ready tells whether the agent serves, and why not or with what restriction. It is called for each request.
	Ready    func() (ready bool, reason string)
	Gatherer prometheus.Gatherer
	Extra    map[string]http.Handler // by path
	Log      *slog.Logger
}

// Run serves on socket until ctx ends, then closes it. It returns nil after ctx ended, else why it could not go on.
func Run(ctx context.Context, socket net.Listener, o Options) error {
	server := &http.Server{
		Handler:           Handler(o),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(socket) }()
	select {
	case err := <-served:
		return fmt.Errorf("operations endpoint %s: %w", socket.Addr(), err)
	case <-ctx.Done():
	}
	// ctx is over; what is being answered gets a moment of its own, then is cut off.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := server.Shutdown(stopCtx)
	if err != nil {
		err = server.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Handler routes the endpoint's paths.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok") // the process lives; whether it can serve is /readyz's matter
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, reason := o.Ready()
		switch {
		case !ready:
			answer(w, http.StatusServiceUnavailable, "not ready: "+reason)
		case reason != "":
			answer(w, http.StatusOK, "ready: "+reason)
		default:
			answer(w, http.StatusOK, "ready")
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		ErrorLog:            slog.NewLogLogger(o.Log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // how go tool pprof asks
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for path, h := range o.Extra {
		mux.Handle(path, h)
	}
	return mux
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	io.WriteString(w, text+"\n") // the client may be gone; there is nobody left to tell
}
