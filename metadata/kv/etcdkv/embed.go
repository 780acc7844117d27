package etcdkv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.etcd.io/etcd/server/v3/proxy/grpcproxy/adapter"

	"wadi/metadata/kv"
)

// EmbedOptions shape an embedded etcd. The zero value of a field means its default.
type EmbedOptions struct {
	QuotaBytes   int64         // default 8 GiB
	ReadyTimeout time.Duration // default 30 s: a large log is replayed at start
	Logger       *slog.Logger  // nil = silent
}

// Embed starts a one-member etcd that keeps its data under dir, and waits until it is ready. It listens nowhere: calls
// go to the server as function calls. Every write is synced to disk before it is answered, and a process that was killed
// is continued by the next Embed of the same directory. Only one process may hold a directory at a time; another waits
// for it until its ctx or ReadyTimeout ends. Close stops the server.
//
// gRPC's interceptors are bypassed, so that a watch is not ended when there is no leader; with a single member in the
// same process there is no leader only while its disk hangs.
func Embed(ctx context.Context, dir string, o EmbedOptions) (*KV, error) {
	if o.QuotaBytes == 0 {
		o.QuotaBytes = 8 << 30
	}
	if o.ReadyTimeout == 0 {
		o.ReadyTimeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, o.ReadyTimeout)
	defer cancel()
	log := loggerOrSilent(o.Logger)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("etcdkv: embed: %w", err)
	}
	lock, err := lockDir(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("etcdkv: embed in %s: %w", dir, err)
	}
	cfg := embedConfig(filepath.Join(dir, "etcd"), o.QuotaBytes)
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zapLogger(log.With("component", "etcd")))
	srv, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("etcdkv: embed in %s: %w", dir, err), lock.Close())
	}
	stop := func() error { return stopServer(srv, lock) }
	select {
	case <-srv.Server.ReadyNotify():
	case <-srv.Server.StopNotify():
		return nil, errors.Join(fmt.Errorf("etcdkv: embed in %s: server stopped while starting", dir), stop())
	case <-ctx.Done():
		err := fmt.Errorf("etcdkv: embed in %s: %w: %w", dir, kv.ErrUnavailable, ctx.Err())
		return nil, errors.Join(err, stop())
	}
	return overServer(srv.Server, stop), nil
}

// lockDir takes the directory for this process. bbolt has a lock of its own, but waits for it without bound.
func lockDir(ctx context.Context, dir string) (io.Closer, error) {
	for {
		l, err := fileutil.TryLockFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_WRONLY, 0o600)
		if !errors.Is(err, fileutil.ErrLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func stopServer(e *embed.Etcd, lock io.Closer) error {
	e.Close()
	var errs []error
	for err := range e.Err() {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, lock.Close())...)
}

// embedConfig is an etcd for one process. Peer and client URLs name the member in etcd's own records; nothing is bound
// to them and, there being no second member, nothing dials them.
func embedConfig(dir string, quota int64) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name = "wadi"
	cfg.Dir = dir
	cfg.QuotaBackendBytes = quota
	nowhere := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	cfg.ListenPeerUrls, cfg.ListenClientUrls = nil, nil
	cfg.AdvertisePeerUrls, cfg.AdvertiseClientUrls = []url.URL{nowhere}, nil
	// etcd derives the cluster id from names, URLs and this token: without a new token every directory would hold the
	// "same" cluster. A directory that has data keeps its id, whatever is set here.
	cfg.InitialClusterToken = rand.Text()
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	// One member elects itself after one timeout, whatever its length. The timeout is also etcd's lower bound of a
	// lease: 100 ms make that one second.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.AutoCompactionRetention = "0" // history is compacted by whoever moves the checkpoint
	cfg.MaxRequestBytes = DefaultMaxRequestBytes
	cfg.WatchProgressNotifyInterval = 5 * time.Second
	return cfg
}

func overServer(s *etcdserver.EtcdServer, stop func() error) *KV {
	lease := adapter.LeaseServerToLeaseClient(v3rpc.NewQuotaLeaseServer(s))
	maintenance := adapter.MaintenanceServerToMaintenanceClient(v3rpc.NewMaintenanceServer(s, nil))
	cluster := adapter.ClusterServerToClusterClient(v3rpc.NewClusterServer(s))
	k := &KV{
		kv:      adapter.KvServerToKvClient(v3rpc.NewQuotaKVServer(s)),
		watch:   adapter.WatchServerToWatchClient(v3rpc.NewWatchServer(s)),
		lease:   lease,
		beat:    lease,
		release: stop,
	}
	k.init()
	self := []memberStatus{func(ctx context.Context) (*pb.StatusResponse, error) {
		return maintenance.Status(ctx, &pb.StatusRequest{})
	}}
	k.status = func(ctx context.Context) (kv.Status, error) {
		return statusOf(ctx, self, maintenance, cluster, k.opts)
	}
	return k
}
