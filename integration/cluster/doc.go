// Package cluster runs a whole cluster for a test: an etcd process, a MinIO process and several agents on loopback,
// each of which can be killed, frozen, stopped, started again and cut off from etcd or from the object store. It brings
// the load of idempotent producers and readers that faults are tried under, with package history/plain as the judge.
//
// Its tests are what three agents must survive together. With -soak they take more rounds (go tool task soak:cluster).
package cluster
