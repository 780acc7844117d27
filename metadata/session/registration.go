package session

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// Registration is the answer to Register.
type Registration struct {
	Revision int64            // create revision of the session's key
	At       int64            // revision of etcd at which Listed was read, Revision or later; 0 = it was not
	Listed   []layout.Session // all sessions that had a key then, sorted
}

// Found is a registration.
type Found struct {
	Session layout.Session
	Address string // host:port where clients reach the process, "" = none do
	Place   string // see Config.Place
}

// Look reads all registrations. What cannot be read is left out: it is nobody's predecessor.
func Look(ctx context.Context, store kv.KV, keys layout.Etcd) ([]Found, error) {
	prefix := keys.SessionsPrefix()
	res, err := store.Range(ctx, kv.RangeRequest{Key: prefix, End: kv.PrefixEnd(prefix)})
	if err != nil {
		return nil, fmt.Errorf("look who is registered: %w", err)
	}
	var found []Found
	for _, x := range res.KVs {
		id, err := keys.ParseSessionKey(x.Key)
		info := &pb.SessionInfo{}
		if err != nil || proto.Unmarshal(x.Value, info) != nil {
			continue
		}
		f := Found{Session: id, Place: info.Place}
		if len(info.Endpoints) > 0 {
			f.Address = net.JoinHostPort(info.Endpoints[0].Host, strconv.Itoa(int(info.Endpoints[0].Port)))
		}
		found = append(found, f)
	}
	return found, nil
}

// Register puts the session's key on its lease unless it exists, deletes the keys of stale, and lists who is registered
// then. A key that is on the lease already was put by a call whose answer was lost. ErrTaken: it is on another lease.
// ErrNotOurs: something of require does not hold.
func Register(
	ctx context.Context, store kv.KV, keys layout.Etcd, id layout.Session, info *pb.SessionInfo, stale []layout.Session,
	require ...kv.Compare,
) (Registration, error) {
	value, err := proto.Marshal(info)
	if err != nil {
		return Registration{}, fmt.Errorf("register session: %w", err)
	}
	key, prefix := keys.SessionKey(id), keys.SessionsPrefix()
	then := []kv.Op{kv.Put(key, value, int64(id))}
	for _, old := range stale {
		then = append(then, kv.Delete(keys.SessionKey(old)))
	}
	all := kv.Op{Kind: kv.OpGet, Key: prefix, End: kv.PrefixEnd(prefix)}
	res, err := store.Txn(ctx, kv.Txn{
		If:   append([]kv.Compare{{Key: key, Target: kv.CreateRevision, Want: 0}}, require...),
		Then: append(then, all),
		Else: []kv.Op{all},
	})
	if err != nil {
		return Registration{}, fmt.Errorf("register session %s: %w", id, err)
	}
	r := Registration{At: res.Header.Revision}
	err = ErrNotOurs
	for _, x := range res.Gets[0] {
		if x.Key == key {
			r.Revision, err = x.CreateRevision, nil
			if x.Lease != int64(id) {
				err = ErrTaken
			}
		}
		if listed, err := keys.ParseSessionKey(x.Key); err == nil {
			r.Listed = append(r.Listed, listed)
		}
	}
	if err != nil {
		return Registration{}, fmt.Errorf("register session %s: %w", id, err)
	}
	slices.Sort(r.Listed)
	return r, nil
}

// maxListed bounds what an OpenSession lists, at 8 bytes each. Where there are more, janitors close what is gone.
const maxListed = 10_000

// list is what the session's OpenSession says of the others.
func (r Registration) list() (at int64, sessions []int64) {
	if r.At == 0 || len(r.Listed) > maxListed {
		return 0, nil
	}
	for _, id := range r.Listed {
		sessions = append(sessions, int64(id))
	}
	return r.At, sessions
}

// look asks for the registrations there are, once in a process' life, before its first lease.
func (c *Core) look() {
	c.phase = looking
	c.lookSent = true
	c.out.Look()
}

// Looked takes the answer to Look. Sessions of processes that were at the same place are over, however long their leases
// last: their keys go with the registration of the first session of this process, and nobody is sent there any more. An
// unknown outcome is tried again; without permission to look nothing is known of them.
func (c *Core) Looked(now Instant, found []Found, err error) {
	c.now = now
	if c.phase != looking || !c.lookSent {
		return
	}
	c.lookSent = false
	if err != nil && !kv.Definite(err) {
		c.backOff(&c.attempts)
		return
	}
	for _, f := range found {
		if c.cfg.Place != "" && f.Place == c.cfg.Place && len(c.tried) < maxTried {
			c.tried = append(c.tried, f.Session)
		}
	}
	c.attempts = 0
	c.grant()
}

// Listed tells that another session has been opened that found these registered at a revision. State has closed those that
// were not.
func (c *Core) Listed(now Instant, at int64, sessions []int64) {
	if at == 0 || c.revision > at {
		return
	}
	if _, ours := slices.BinarySearch(sessions, int64(c.session)); !ours {
		c.Closed(now, c.session)
	}
}
