package s3

import (
	"context"
	"errors"
	"net/http"

	smithyhttp "github.com/aws/smithy-go/transport/http"

	"wadi/objstore"
)

// Transient reports whether an error of New or of a Store's call says that the service was not reached or was not well,
// so that the same call may succeed later. What the service refused, and what no service was asked, is not transient.
func Transient(err error) bool {
	var unsent *smithyhttp.RequestSendError
	switch code := status(err); {
	case errors.As(err, &unsent), errors.Is(err, context.DeadlineExceeded), errors.Is(err, objstore.ErrThrottled),
		errors.Is(err, objstore.ErrNoAnswer):
		return true
	default:
		return code >= http.StatusInternalServerError && code != http.StatusNotImplemented
	}
}
