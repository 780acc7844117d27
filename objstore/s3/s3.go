// Package s3 keeps objects in a bucket of Amazon S3 or of a service that speaks its protocol.
//
// Put is PutObject with If-None-Match: *, so an object is never replaced. The payload is not signed: its CRC-32C, which
// the caller has computed while filling the buffers, travels in a signed header and the service checks it.
//
// Each call is one attempt, also the SDK's: objstore/steady repeats, bounds each attempt's time and keeps the number of
// requests within what the service bears. Errors are classified for it, see objstore.Repeatable.
//
// Objects in parts are multipart uploads, completed with If-None-Match: * too. A bucket rule that aborts incomplete
// uploads after some days may stand beside Wadi's own sweep.
//
// The service must support conditional writes (S3 since 2024, MinIO, versitygw, ...) and list keys in byte order;
// S3 directory buckets do not. versitygw does not complete uploads atomically: of two of different bytes under one key at
// the same instant both may be told that they won, and the object is one of them. Keys of Wadi's name their writer.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"wadi/objstore"
)

// DefaultRegion is used when the configuration names none.
const DefaultRegion = "us-east-1"

// Config says where the bucket is. Zero values are the defaults.
type Config struct {
	Bucket string
	// Region is DefaultRegion by default.
	Region string
	// Endpoint is the base URL of a service other than AWS, "http://127.0.0.1:9000"; the bucket is then named in the path.
	Endpoint string
	// Credentials are those of the environment, the shared files, the container or the machine by default.
	Credentials aws.CredentialsProvider
}

// Store is an objstore.Store in one bucket. Make it with New.
type Store struct {
	bucket    string
	client    *s3.Client
	transport closer
}

type closer interface{ CloseIdleConnections() }

var _ objstore.Store = (*Store)(nil)

// New checks the configuration and finds the credentials. It does not talk to the service yet.
func New(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Bucket == "" {
		return nil, errors.New("open s3: no bucket is named")
	}
	if cfg.Endpoint != "" {
		if err := checkEndpoint(cfg.Endpoint); err != nil {
			return nil, err
		}
	}
	if cfg.Region == "" {
		cfg.Region = DefaultRegion
	}
	options := []func(*config.LoadOptions) error{
		config.WithRegion(cfg.Region),
		config.WithHTTPClient(sdkClient()),
	}
	if cfg.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(cfg.Credentials))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("open s3 bucket %s: %w", cfg.Bucket, err)
	}
	if _, err := loaded.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("open s3 bucket %s: %w: no usable credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY): %w",
			cfg.Bucket, objstore.ErrDenied, err)
	}
	buildable, ok := loaded.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return nil, fmt.Errorf("open s3 bucket %s: the SDK replaced its HTTP client by a %T", cfg.Bucket, loaded.HTTPClient)
	}
	transport := buildable.GetTransport()
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.HTTPClient = newClient(transport)
		o.UsePathStyle = o.BaseEndpoint != nil // set by the environment, perhaps
		o.Retryer = aws.NopRetryer{}
		// Put brings its own checksum; others' services refuse or ignore the ones the SDK would add on its own.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		o.ContinueHeaderThresholdBytes = -1
	})
	return &Store{bucket: cfg.Bucket, client: client, transport: transport}, nil
}

func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("open s3: endpoint %q: %w", endpoint, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("open s3: endpoint %q is not of the form http://host:port or https://host", endpoint)
	}
	return nil
}

// Close closes idle connections.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Date is the Date header of an answer about the bucket, to the second.
func (s *Store) Date(ctx context.Context) (time.Time, error) {
	var date time.Time
	err := s.once(ctx, func(ctx context.Context) error {
		out, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket})
		if err != nil {
			return err
		}
		var ok bool
		if date, ok = awsmiddleware.GetServerTime(out.ResultMetadata); !ok || date.IsZero() {
			return errNoDate
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("date of bucket %s: %w", s.bucket, err)
	}
	return date, nil
}

var errNoDate = errors.New("the answer has no Date header")
