package etcdkv

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"wadi/metadata/kv"
)

// Config says how to reach an etcd.
type Config struct {
	Endpoints   []string // host:port or URL of the members
	TLS         *tls.Config
	Username    string
	Password    string
	DialTimeout time.Duration // for fetching the first token when there is a Username; default 5 s
	// MaxRequestBytes is the largest transaction sent, etcd's --max-request-bytes; default DefaultMaxRequestBytes.
	MaxRequestBytes int
	Logger          *slog.Logger // nil = silent
}

// Dial makes a KV of an etcd that runs elsewhere. It does not wait for a connection, except for a token when there is a
// Username; calls wait within their contexts.
func Dial(c Config) (*KV, error) {
	if len(c.Endpoints) == 0 {
		return nil, errors.New("etcdkv: no endpoints")
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	var dataLines, beatLines silence
	data, err := dial(c, &dataLines)
	if err != nil {
		return nil, err
	}
	beat, err := dial(c, &beatLines)
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	conn := data.ActiveConnection()
	k := &KV{
		kv: pb.NewKVClient(conn), watch: pb.NewWatchClient(conn), lease: pb.NewLeaseClient(conn),
		beat:        pb.NewLeaseClient(beat.ActiveConnection()),
		dataSilence: &dataLines,
		beatSilence: &beatLines,
		maxRequest:  c.MaxRequestBytes,
		retryAuth:   c.Username != "",
		release:     func() error { return errors.Join(data.Close(), beat.Close()) },
	}
	k.init()
	go dataLines.watch(k.closing)
	go beatLines.watch(k.closing)
	maintenance, cluster := pb.NewMaintenanceClient(conn), pb.NewClusterClient(conn)
	var members []memberStatus
	for _, ep := range c.Endpoints {
		members = append(members, func(ctx context.Context) (*pb.StatusResponse, error) {
			st, err := data.Status(ctx, ep) // connects to that member
			return (*pb.StatusResponse)(st), err
		})
	}
	if len(members) == 1 {
		members[0] = func(ctx context.Context) (*pb.StatusResponse, error) {
			return maintenance.Status(ctx, &pb.StatusRequest{}, k.opts...)
		}
	}
	k.status = func(ctx context.Context) (kv.Status, error) {
		return statusOf(ctx, members, maintenance, cluster, k.opts)
	}
	return k, nil
}

func dial(c Config, lines *silence) (*clientv3.Client, error) {
	cl, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints, TLS: c.TLS, Username: c.Username, Password: c.Password,
		DialTimeout: c.DialTimeout,
		// The ping interval is gRPC's least and above etcd's (5 s, past which it hangs up on the client); the timeout
		// also bounds unacknowledged data (TCP_USER_TIMEOUT), which is what finds a dead member under traffic. Pings
		// without a stream are a violation in etcd's eyes.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		MaxUnaryRetries:      1, // one attempt, see the package comment
		Logger:               zapLogger(loggerOrSilent(c.Logger).With("component", "etcd-client")),
		DialOptions: []grpc.DialOption{
			grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithContextDialer(lines.dial),
			// gRPC would wait up to two minutes between attempts to reach a member that was away for long.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.3, MaxDelay: time.Second},
				MinConnectTimeout: 3 * time.Second,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcdkv: %v: %w", c.Endpoints, classify(context.Background(), "dial", err))
	}
	return cl, nil
}
