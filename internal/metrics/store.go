package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wadi/objstore"
)

// Values of the op label.
const (
	opPut    = "put"
	opGet    = "get"
	opList   = "list"
	opDelete = "delete"
	opDate   = "date"

	opBegin    = "begin"
	opPart     = "part"
	opComplete = "complete"
	opAbandon  = "abandon"
	opUploads  = "uploads"
)

// Code is the code label of a request that ended with err. It is one of a fixed few, so that the number of series is
// bounded.
func Code(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, objstore.ErrNotFound):
		return "not_found"
	case errors.Is(err, objstore.ErrExists):
		return "exists"
	case errors.Is(err, objstore.ErrConflict):
		return "conflict"
	case errors.Is(err, objstore.ErrRange):
		return "range"
	case errors.Is(err, objstore.ErrThrottled):
		return "throttled"
	case errors.Is(err, objstore.ErrCorrupt):
		return "corrupt"
	case errors.Is(err, objstore.ErrDenied):
		return "denied"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "error"
	}
}

type countedStore struct {
	next     objstore.Store
	requests *prometheus.CounterVec
	put, get prometheus.Counter
}

// Store counts the calls of a store in wadi_object_requests_total and wadi_object_bytes_total. One call is one
// request: beneath a steady store every repetition and every hedge is seen, one that was given up as canceled.
func Store(next objstore.Store, s *Set) objstore.Store {
	return &countedStore{
		next:     next,
		requests: s.ObjectRequests,
		put:      s.ObjectBytes.WithLabelValues(opPut),
		get:      s.ObjectBytes.WithLabelValues(opGet),
	}
}

func (c *countedStore) count(op string, err error) {
	c.requests.WithLabelValues(op, Code(err)).Inc()
}

func (c *countedStore) Put(ctx context.Context, key string, body objstore.Body) error {
	err := c.next.Put(ctx, key, body)
	c.count(opPut, err)
	if err == nil {
		c.put.Add(float64(body.Size()))
	}
	return err
}

func (c *countedStore) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	data, err := c.next.Get(ctx, key, off, length)
	c.count(opGet, err)
	if err == nil {
		c.get.Add(float64(len(data)))
	}
	return data, err
}

func (c *countedStore) List(ctx context.Context, prefix, after string, limit int) ([]objstore.Info, error) {
	infos, err := c.next.List(ctx, prefix, after, limit)
	c.count(opList, err)
	return infos, err
}

func (c *countedStore) Delete(ctx context.Context, keys []string) error {
	err := c.next.Delete(ctx, keys)
	c.count(opDelete, err)
	return err
}

func (c *countedStore) Date(ctx context.Context) (time.Time, error) {
	date, err := c.next.Date(ctx)
	c.count(opDate, err)
	return date, err
}

func (c *countedStore) Begin(ctx context.Context, key string) (objstore.Upload, error) {
	up, err := c.next.Begin(ctx, key)
	c.count(opBegin, err)
	return up, err
}

// PutPart's bytes count among those of put: they are what an object's body cost.
func (c *countedStore) PutPart(ctx context.Context, up objstore.Upload, number int, body objstore.Body) (objstore.Part, error) {
	part, err := c.next.PutPart(ctx, up, number, body)
	c.count(opPart, err)
	if err == nil {
		c.put.Add(float64(body.Size()))
	}
	return part, err
}

func (c *countedStore) Complete(ctx context.Context, up objstore.Upload, parts []objstore.Part) error {
	err := c.next.Complete(ctx, up, parts)
	c.count(opComplete, err)
	return err
}

func (c *countedStore) Abandon(ctx context.Context, up objstore.Upload) error {
	err := c.next.Abandon(ctx, up)
	c.count(opAbandon, err)
	return err
}

func (c *countedStore) Uploads(ctx context.Context, prefix, after string, limit int) ([]objstore.UploadInfo, error) {
	infos, err := c.next.Uploads(ctx, prefix, after, limit)
	c.count(opUploads, err)
	return infos, err
}
