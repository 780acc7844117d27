package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wadi/integration/binary"
	"wadi/integration/delay"
	"wadi/integration/etcd"
	"wadi/integration/minio"
	"wadi/integration/s3server"
)

// Options shape a cluster. Zero values take the defaults that the fields name.
type Options struct {
	Agents int           // 3
	TTL    time.Duration // session.ttl, 2 s
	// Links puts a Link between each agent and etcd and between each agent and the store, so that they can be cut.
	Links bool
	// Rules puts a proxy in front of each agent's Kafka listener, which holds requests and answers as they say.
	Rules *delay.Rules
	// Settings are further lines of the agents' configuration.
	Settings string
}

// Cluster is a running cluster. It ends with its test. Its methods are used from the test's goroutine.
type Cluster struct {
	Etcd   *etcd.Server
	Store  *s3server.Server
	Bucket string
	Agents []*Agent
	TTL    time.Duration
	t      testing.TB
	opts   Options
}

// Start runs a cluster and waits until all agents serve.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := Prepare(t, o)
	for _, a := range c.Agents {
		a.Start()
	}
	return c
}

// Prepare runs etcd and the store; the agents are not started.
func Prepare(t testing.TB, o Options) *Cluster {
	t.Helper()
	if o.Agents == 0 {
		o.Agents = 3
	}
	if o.TTL == 0 {
		o.TTL = 2 * time.Second
	}
	c := &Cluster{t: t, opts: o, TTL: o.TTL, Etcd: etcd.Start(t, etcd.Options{}), Store: minio.Start(t)}
	c.Bucket = c.Store.NewBucket(t)
	for i := range o.Agents {
		c.Agents = append(c.Agents, c.newAgent(string(rune('A'+i))))
	}
	return c
}

// newAgent configures an agent on ports of its own, which it keeps over restarts.
func (c *Cluster) newAgent(name string) *Agent {
	a := &Agent{
		t: c.t, Name: name, env: c.Store.Env(),
		listen: fmt.Sprintf("127.0.0.1:%d", binary.FreePort(c.t)), HTTP: fmt.Sprintf("127.0.0.1:%d", binary.FreePort(c.t)),
	}
	if a.Address = a.listen; c.opts.Rules != nil {
		a.Address = delay.Start(c.t, a.listen, c.opts.Rules).Address()
	}
	metadata, store := c.Etcd.Endpoint(), c.Store.URL(c.Bucket+"/streams")
	if c.opts.Links {
		a.ToEtcd = NewLink(c.t, strings.TrimPrefix(metadata, "http://"))
		a.ToStore = NewLink(c.t, strings.TrimPrefix(c.Store.Endpoint, "http://"))
		metadata = "http://" + a.ToEtcd.Address()
		behind := *c.Store
		behind.Endpoint = "http://" + a.ToStore.Address()
		store = behind.URL(c.Bucket + "/streams")
	}
	a.Configure(map[string]string{"etcd": metadata, "store": store, "ttl": c.TTL.String(), "more": c.opts.Settings})
	return a
}

// Addresses are the Kafka addresses of all agents.
func (c *Cluster) Addresses() []string {
	list := make([]string, len(c.Agents))
	for i, a := range c.Agents {
		list[i] = a.Address
	}
	return list
}
