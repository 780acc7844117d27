package server

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server/wire"
)

// Handler takes one request. It must see to it that Reply, ReplyEncoded or Close is called on it exactly once, now or
// later, from any goroutine. ctx ends when the connection does. Unless its API says Spawn it runs in the connection's
// reader and must not block: requests of one connection are started in the order in which they came.
type Handler func(ctx context.Context, req *Request)

// Sync turns a plain function into a Handler. A nil response sends none; an error closes the connection, so it is only
// for what the protocol has no code for.
func Sync(fn func(ctx context.Context, req *Request) (kmsg.Response, error)) Handler {
	return func(ctx context.Context, req *Request) {
		resp, err := fn(ctx, req)
		if err != nil {
			req.Close(err)
			return
		}
		req.Reply(resp)
	}
}

// API is one row of the table: a Kafka API key, what is served of it and by whom.
type API struct {
	Key  int16
	Name string
	// Min and Max are the versions served. Others close the connection, as no reply exists that such a client could
	// read; only ApiVersions answers them (KIP-511).
	Min, Max int16
	// AdvertisedMin is the minimum that ApiVersions states. It differs from Min for Produce alone.
	AdvertisedMin int16
	// New makes an empty request body.
	New func() kmsg.Request
	// Shape is checked before the body is decoded.
	Shape  *wire.Shape
	Handle Handler
	// Spawn runs the handler in a goroutine of its own, for handlers that wait.
	Spawn bool
	// Serial keeps a request unread while an earlier one of the same API on its connection is not answered: replies of
	// Fetch are large, so only one at a time may exist per connection.
	Serial bool
	// Produce takes the frame against Config.Produce and from the buffer pool. Strings of such a request are copied
	// out of the frame; its byte slices alias it.
	Produce bool
}

const keyApiVersions = 18

// Table looks up APIs by key.
type Table struct{ rows []*API }

// NewTable checks and indexes apis. Every row must be complete, and no key may come twice.
func NewTable(apis []API) (*Table, error) {
	t := &Table{}
	for i := range apis {
		a := &apis[i]
		switch {
		case a.Key < 0 || a.Key > 1023:
			return nil, fmt.Errorf("api %s: key %d out of range", a.Name, a.Key)
		case a.New == nil || a.Shape == nil || a.Handle == nil || a.Name == "":
			return nil, fmt.Errorf("api %s (key %d): incomplete", a.Name, a.Key)
		case a.Min < 0 || a.Max < a.Min || a.AdvertisedMin > a.Min || a.Max > a.New().MaxVersion():
			return nil, fmt.Errorf("api %s: bad versions %d to %d, advertised from %d", a.Name, a.Min, a.Max, a.AdvertisedMin)
		case a.New().Key() != a.Key:
			return nil, fmt.Errorf("api %s: key %d, its body says %d", a.Name, a.Key, a.New().Key())
		}
		for len(t.rows) <= int(a.Key) {
			t.rows = append(t.rows, nil)
		}
		if t.rows[a.Key] != nil {
			return nil, fmt.Errorf("api %s: key %d is taken by %s", a.Name, a.Key, t.rows[a.Key].Name)
		}
		t.rows[a.Key] = a
	}
	return t, nil
}

func (t *Table) get(key int16) *API {
	if key < 0 || int(key) >= len(t.rows) {
		return nil
	}
	return t.rows[key]
}
