package services

import (
	"fmt"
	"testing"
)

// Etcd is a running etcd of one member.
type Etcd struct {
	*Process
	Endpoint string // http://127.0.0.1:port
}

// StartEtcd starts an empty etcd on ports of its own, with its data in a folder that ends with the test.
func StartEtcd(t testing.TB) *Etcd {
	t.Helper()
	path, err := Tool("etcd")
	Need(t, err)
	client := fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
	peer := fmt.Sprintf("http://127.0.0.1:%d", FreePort(t))
	p := Start(t, Spec{
		Name: "etcd", Path: path, Ready: "ready to serve client requests", ResendsSignal: true,
		Args: []string{
			"--name=m0", "--data-dir=" + t.TempDir(), "--log-level=info",
			"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=m0=" + peer,
			"--quota-backend-bytes=8589934592",
		},
	})
	return &Etcd{Process: p, Endpoint: client}
}
