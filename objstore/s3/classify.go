package s3

import (
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"wadi/objstore"
)

// ErrNoBucket: the bucket does not exist. Not retriable, and never mistaken for a missing object.
var ErrNoBucket = errors.New("bucket does not exist")

// Errors that steer a call and are never returned as they are.
var (
	errPrecondition = errors.New("an object exists under the key")
	errRange        = errors.New("the service finds the range outside the object")
	errConflict     = errors.New("conflicting request in progress")
)

// kinds maps the service's error codes. What is not here is decided by the HTTP status.
var kinds = map[string]error{
	"NoSuchKey":                   objstore.ErrNotFound,
	"NoSuchBucket":                ErrNoBucket,
	"NoSuchUpload":                objstore.ErrConflict,
	"InvalidPart":                 objstore.ErrConflict,
	"InvalidPartOrder":            objstore.ErrKey,
	"EntityTooSmall":              objstore.ErrKey,
	"SlowDown":                    objstore.ErrThrottled,
	"SlowDownRead":                objstore.ErrThrottled,
	"SlowDownWrite":               objstore.ErrThrottled,
	"RequestLimitExceeded":        objstore.ErrThrottled,
	"Throttling":                  objstore.ErrThrottled,
	"ThrottlingException":         objstore.ErrThrottled,
	"TooManyRequests":             objstore.ErrThrottled,
	"BandwidthLimitExceeded":      objstore.ErrThrottled,
	"ServiceUnavailable":          objstore.ErrThrottled,
	"BadDigest":                   objstore.ErrCorrupt,
	"InvalidDigest":               objstore.ErrCorrupt,
	"XAmzContentChecksumMismatch": objstore.ErrCorrupt,
	"IncompleteBody":              objstore.ErrCorrupt,
	"AccessDenied":                objstore.ErrDenied,
	"AccountProblem":              objstore.ErrDenied,
	"AllAccessDisabled":           objstore.ErrDenied,
	"ExpiredToken":                objstore.ErrDenied,
	"InvalidToken":                objstore.ErrDenied,
	"InvalidAccessKeyId":          objstore.ErrDenied,
	"SignatureDoesNotMatch":       objstore.ErrDenied,
	"RequestTimeTooSkewed":        objstore.ErrDenied,
	"PreconditionFailed":          errPrecondition,
	"InvalidRange":                errRange,
	"ConditionalRequestConflict":  errConflict,
	"OperationAborted":            errConflict,
}

// classify adds the sentinel to which an attempt's error belongs and says whether another attempt may go better.
func classify(err error) (classified error, again bool) {
	kind := kindOf(err)
	if kind == nil {
		return err, retriable(err)
	}
	if !errors.Is(err, kind) {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	switch kind {
	case objstore.ErrThrottled, errConflict:
		return err, true
	case objstore.ErrCorrupt:
		return err, !errors.Is(err, errBuffer) // bytes on their way may arrive better next time
	}
	return err, false
}

// kindOf is nil for an error without a sentinel.
func kindOf(err error) error {
	for _, own := range []error{
		objstore.ErrExists, objstore.ErrRange, objstore.ErrKey, objstore.ErrNotFound, objstore.ErrDenied, objstore.ErrCorrupt,
		objstore.ErrConflict, objstore.ErrThrottled, errPrecondition, errRange, errConflict, ErrNoBucket,
	} {
		if errors.Is(err, own) {
			return own
		}
	}
	if api := smithy.APIError(nil); errors.As(err, &api) {
		if kind, ok := kinds[api.ErrorCode()]; ok {
			return kind
		}
	}
	switch status(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return objstore.ErrDenied
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return objstore.ErrThrottled
	case http.StatusPreconditionFailed:
		return errPrecondition
	case http.StatusRequestedRangeNotSatisfiable:
		return errRange
	case http.StatusConflict:
		return errConflict
	}
	return nil
}

// retriable decides about errors without a sentinel. Without an answer the network failed; of the answers those of the
// 5xx kind pass, but 501 says that the service cannot do it at all (conditional writes, most likely).
func retriable(err error) bool {
	if errors.Is(err, errBug) {
		return false
	}
	code := status(err)
	switch {
	case code == 0, code == http.StatusRequestTimeout, code == http.StatusTemporaryRedirect:
		return true
	case code == http.StatusBadRequest:
		api := smithy.APIError(nil)
		return errors.As(err, &api) && api.ErrorCode() == "RequestTimeout" // S3 gives up on slow uploads with a 400
	}
	return code >= 500 && code != http.StatusNotImplemented
}

// errBug marks answers that no repetition mends.
var errBug = errors.New("the service breaks its protocol")

// status is the HTTP status of the answer that carried err, 0 if there was none. An answer that began well and could not
// be read counts as none.
func status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() >= 300 {
		return response.HTTPStatusCode()
	}
	return 0
}
