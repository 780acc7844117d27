// Package etcdkv keeps the contract of package kv with a real etcd: Dial reaches one over the network, Embed runs one
// member inside the process without any listening socket.
//
// Both speak etcd's generated RPC clients; clientv3 is used for dialing, balancing and credentials alone, because three
// of its conveniences break the contract (read in version 3.7.3):
//
//   - Its unary interceptor sends a request again, a write too, when the server answers Canceled or DeadlineExceeded
//     while the caller's context lives, and LeaseGrant on Unavailable: both may have been applied. The interceptor is on
//     the connection, so Dial sets MaxUnaryRetries to 1, which means one attempt. gRPC's own transparent retry is left:
//     it sends again only what the server has declared unprocessed.
//   - Its watcher puts what a slow reader has not taken into a slice without bound, and resumes a broken stream by
//     itself, also against an etcd that was rolled back meanwhile. Here a watch is one stream: it is as slow as its
//     reader (flow control reaches back to etcd, which re-reads its history) and a broken one ends with ErrUnavailable.
//   - KeepAliveOnce repeats in a tight loop while there is no connection.
//
// A refusal of stale credentials is definite, so that a call refused for an expired token is sent once more with a new
// one.
package etcdkv
