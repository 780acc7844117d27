package segment

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"wadi/objstore"
)

// oneObject is a store of a single object that counts its reads; anything but Get is a mistake of the test.
type oneObject struct {
	objstore.Uploader
	data []byte
	gets int
}

func (s *oneObject) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	s.gets++
	if off < 0 || length < 0 || off+length > int64(len(s.data)) {
		return nil, fmt.Errorf("get %s [%d,+%d): %w", key, off, length, objstore.ErrRange)
	}
	return bytes.Clone(s.data[off : off+length]), ctx.Err()
}

func (s *oneObject) Put(context.Context, string, objstore.Body) error { panic("not a reader's call") }
func (s *oneObject) List(context.Context, string, string, int) ([]objstore.Info, error) {
	panic("not a reader's call")
}
func (s *oneObject) Delete(context.Context, []string) error  { panic("not a reader's call") }
func (s *oneObject) Date(context.Context) (time.Time, error) { panic("not a reader's call") }

func stored(body objstore.Body) *oneObject {
	return &oneObject{data: bytes.Join(body.Chunks, nil)}
}

func (s *oneObject) size() int64 { return int64(len(s.data)) }
