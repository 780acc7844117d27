package etcdkv

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"wadi/metadata/kv"
)

var errClosed = errors.New("etcdkv: closed")

// sentinels maps etcd's typed errors to the contract's. What etcd refuses before proposing, or by every member alike
// when applying, is definite there.
//
// A ResourceExhausted status of gRPC itself is deliberately not here: a server refuses oversized messages with it, but a
// reset stream (ENHANCE_YOUR_CALM) and proxies use it too, after the request may have been applied. Requests are
// measured before they are sent instead (tooLarge), so that it never has to be trusted.
var sentinels = map[error]error{
	rpctypes.ErrCompacted:            kv.ErrCompacted,
	rpctypes.ErrFutureRev:            kv.ErrFuture,
	rpctypes.ErrRequestTooLarge:      kv.ErrTooLarge,
	rpctypes.ErrTooManyOps:           kv.ErrTooLarge,
	rpctypes.ErrNoSpace:              kv.ErrNoSpace,
	rpctypes.ErrLeaseNotFound:        kv.ErrLeaseNotFound,
	rpctypes.ErrPermissionDenied:     kv.ErrDenied,
	rpctypes.ErrPermissionNotGranted: kv.ErrDenied,
	rpctypes.ErrAuthFailed:           kv.ErrDenied,
	rpctypes.ErrUserEmpty:            kv.ErrDenied,
	rpctypes.ErrUserNotFound:         kv.ErrDenied,
	rpctypes.ErrInvalidAuthToken:     kv.ErrDenied,
	rpctypes.ErrAuthOldRevision:      kv.ErrDenied,
}

// classify puts err into the contract's terms. ctx is the caller's: when it has ended, that is the error's cause, and
// the outcome is unknown whatever the server said meanwhile.
func classify(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cerr := ctx.Err(); cerr != nil {
		return fmt.Errorf("etcd: %s: %w: %w", op, kv.ErrUnavailable, cerr)
	}
	typed := rpctypes.Error(err)
	if sentinel, ok := sentinels[asEtcdError(typed)]; ok {
		return fmt.Errorf("etcd: %s: %w: %w", op, sentinel, typed)
	}
	if invalid(typed) {
		// The caller's defect (an empty key, a key written twice in a transaction): waiting and sending it again cannot
		// help, so it must not look like an outage.
		return fmt.Errorf("etcd: %s: %w", op, typed)
	}
	return fmt.Errorf("etcd: %s: %w: %w", op, kv.ErrUnavailable, typed)
}

// asEtcdError is err as a key of sentinels; nil when it is no error of etcd's.
func asEtcdError(err error) error {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e
	}
	return nil
}

func invalid(err error) bool {
	var e rpctypes.EtcdError
	return errors.As(err, &e) && e.Code() == codes.InvalidArgument
}

// staleToken reports a refusal that a new token may lift. The server has done nothing.
func staleToken(err error) bool {
	switch asEtcdError(rpctypes.Error(err)) {
	case rpctypes.ErrInvalidAuthToken, rpctypes.ErrAuthOldRevision, rpctypes.ErrUserEmpty:
		return true
	}
	return false
}

// canceledWatch is the error of a watch that the server refused or ended. The reason comes as text alone, so it is
// given its type back by etcd's own table.
func canceledWatch(ctx context.Context, reason string) error {
	if reason == "" {
		reason = rpctypes.ErrGRPCWatchCanceled.Error()
	}
	for _, refused := range []error{
		rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCInvalidAuthToken,
		rpctypes.ErrGRPCAuthOldRevision, rpctypes.ErrGRPCUserEmpty,
	} {
		if reason == refused.Error() {
			return classify(ctx, "watch", refused)
		}
	}
	return classify(ctx, "watch", status.Error(codes.Unavailable, reason))
}
