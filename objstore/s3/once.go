package s3

import (
	"context"
	"errors"
	"fmt"

	"wadi/objstore"
)

// once makes one attempt at a call. Its error is classified, and marked with objstore.Final when another attempt would
// not go better. An attempt that ended with its context wraps the context's error.
func (s *Store) once(ctx context.Context, call func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := call(ctx)
	if err == nil {
		return nil
	}
	if ended := ctx.Err(); ended != nil {
		if errors.Is(context.Cause(ctx), objstore.ErrNoAnswer) {
			// The idle connections may be as dead as the one that timed out; each would cost another attempt.
			s.transport.CloseIdleConnections()
		}
		if !errors.Is(err, ended) {
			err = fmt.Errorf("%w: %w", ended, err)
		}
		return err
	}
	err, again := classify(err)
	if !again {
		return objstore.Final(err)
	}
	return err
}
