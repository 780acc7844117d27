package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	dialTimeout = 5 * time.Second
	// pingTimeout bounds the first contact, so that a wrong address is told at once and not after retries.
	pingTimeout = 10 * time.Second
	// retryTimeout bounds every later request with its retries.
	retryTimeout = 30 * time.Second
)

// connect opens a Kafka client and makes sure that somebody answers. The caller closes it.
func (a *app) connect(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := strings.Split(a.bootstrap, ",")
	for i, s := range seeds {
		if seeds[i] = strings.TrimSpace(s); seeds[i] == "" {
			return nil, usagef("--bootstrap-server %q names no host", a.bootstrap)
		}
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID("wadi"),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(retryTimeout),
	}, opts...)...)
	if err != nil {
		return nil, usageError{err}
	}
	pingCtx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(pingCtx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no Kafka endpoint answers at %s: %w", a.bootstrap, err)
	}
	return client, nil
}
