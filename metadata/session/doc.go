// Package session is an agent's life in etcd: a lease-backed registration and the sequence of entries it appends
// (DESIGN section 3, "Append", "Unknown outcomes", "Sessions"). Core decides and is stepped by events; Session is the
// shell that talks to etcd.
//
// A session opens in this order: lease granted, key registered (deleting every session key that this process tried to
// write before, or a dead one in its place), OpenSession appended as entry 1, seen applied. OpenSession says who is
// registered, and State closes who is not any more. One entry is in flight at a time; commands that come
// meanwhile share the next one, control commands first.
package session
