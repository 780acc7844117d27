package server

import (
	"log/slog"
	"time"
)

// Config bounds a Server. Zero values take the defaults in brackets.
type Config struct {
	Log *slog.Logger // [discards]
	// Produce is the budget for Produce frames. Nil means no bound but those per connection.
	Produce Budget

	MaxProduceFrame int64 // largest Produce frame in bytes, as socket.request.max.bytes [100 MiB]
	MaxControlFrame int64 // largest frame of any other API [8 MiB]
	MaxInFlight     int   // unanswered requests per connection [64]
	MaxConnBytes    int64 // frame bytes of unanswered requests per connection; one request is always let in [64 MiB]
	MaxConnections  int   // connections at once; more are closed as they come [16384]

	IdleTimeout  time.Duration // connections.max.idle.ms: nothing asked and nothing owed [10 min]
	FrameTimeout time.Duration // longest silence inside a frame [30 s]
	WriteTimeout time.Duration // longest time for a client to take 1 MiB of replies [30 s]
	DrainTimeout time.Duration // how long requests in flight may take to be answered once ctx ended [10 s]

	Observe Observe
}

// Observe are callbacks for metrics. Any may be nil. They are called from many goroutines and must not block.
type Observe struct {
	Request    func(api string, took time.Duration) // arrival of the whole frame to the handler's answer
	Panic      func(api string)
	Connection func(delta int)  // +1 or -1
	Refused    func(why string) // connections closed for: "protocol", "limit", "panic"
}

func (o *Observe) request(api string, took time.Duration) {
	if o.Request != nil {
		o.Request(api, took)
	}
}

func (o *Observe) panicked(api string) {
	if o.Panic != nil {
		o.Panic(api)
	}
	o.refused("panic")
}

func (o *Observe) connection(delta int) {
	if o.Connection != nil {
		o.Connection(delta)
	}
}

func (o *Observe) refused(why string) {
	if o.Refused != nil {
		o.Refused(why)
	}
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	orBytes := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	orBytes(&c.MaxProduceFrame, 100<<20)
	orBytes(&c.MaxControlFrame, 8<<20)
	orBytes(&c.MaxConnBytes, 64<<20)
	orInt(&c.MaxInFlight, 64)
	orInt(&c.MaxConnections, 16384)
	orTime(&c.IdleTimeout, 10*time.Minute)
	orTime(&c.FrameTimeout, 30*time.Second)
	orTime(&c.WriteTimeout, 30*time.Second)
	orTime(&c.DrainTimeout, 10*time.Second)
	return c
}
