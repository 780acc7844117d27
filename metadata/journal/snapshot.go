package journal

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"google.golang.org/protobuf/proto"

	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// pageEntries bounds a page of the listing: at most 64 MiB by the entries' maximum size.
const pageEntries = 256

// Anchor is what one linearizable read says about where to start: everything else is read at its revision.
type Anchor struct {
	Head            Head
	Pointer         *pb.Pointer // nil = no checkpoint yet
	PointerRevision int64       // its mod revision
	Voids           map[int64]bool
}

// Anchor reads pointer, void keys and head in one txn.
func (j *Journal) Anchor(ctx context.Context) (Anchor, error) {
	void := j.keys.VoidPrefix()
	res, err := j.kv.Txn(ctx, kv.Txn{Then: []kv.Op{
		kv.Get(j.keys.Head()), kv.Get(j.keys.Checkpoint()),
		{Kind: kv.OpGet, Key: void, End: kv.PrefixEnd(void)},
	}})
	if err != nil {
		return Anchor{}, fmt.Errorf("read checkpoint pointer and journal head: %w", err)
	}
	a := Anchor{Head: headOf(res.Header, res.Gets[0]), Voids: map[int64]bool{}}
	if p := res.Gets[1]; len(p) == 1 {
		a.Pointer, a.PointerRevision = &pb.Pointer{}, p[0].ModRevision
		if err := proto.Unmarshal(p[0].Value, a.Pointer); err != nil {
			return Anchor{}, fmt.Errorf("checkpoint pointer: %w", err)
		}
	}
	for _, v := range res.Gets[2] {
		position, err := j.keys.ParseVoid(v.Key)
		if err != nil {
			return Anchor{}, fmt.Errorf("void keys: %w", err)
		}
		a.Voids[position] = true
	}
	return a, nil
}

// Since reads the entries behind the position `after` (the afterHead-th entry) up to the anchor's revision, oldest
// first. It returns ErrGap when some of them are gone (trimmed, or compacted during the read): start over with a new
// anchor. Entries carry their head Version.
func (j *Journal) Since(ctx context.Context, a Anchor, after, afterHead int64) ([]Entry, error) {
	want := a.Head.Version - afterHead
	if want < 0 {
		return nil, fmt.Errorf("the journal has %d entries, %d were seen before: %w", a.Head.Version, afterHead, ErrRolledBack)
	}
	if want == 0 {
		return nil, nil
	}
	var list []Entry
	key, end := j.keys.JournalPrefix(), j.keys.Head()
	for {
		res, err := j.kv.Range(ctx, kv.RangeRequest{Key: key, End: end, Revision: a.Head.Revision, Limit: pageEntries})
		if errors.Is(err, kv.ErrCompacted) {
			return nil, fmt.Errorf("list journal at revision %d: %w: %w", a.Head.Revision, ErrGap, err)
		}
		if err != nil {
			return nil, fmt.Errorf("list journal: %w", err)
		}
		for _, x := range res.KVs {
			if x.ModRevision <= after {
				continue // before the checkpoint, waiting to be trimmed
			}
			session, seq, err := j.keys.ParseEntry(x.Key)
			if err != nil {
				return nil, fmt.Errorf("list journal: %w", err)
			}
			list = append(list, Entry{Position: x.ModRevision, Session: session, Seq: seq, Value: x.Value})
		}
		if !res.More || len(res.KVs) == 0 {
			break
		}
		key = res.KVs[len(res.KVs)-1].Key + "\x00"
	}
	// etcd's own sort by revision is quadratic over pages; keys of one session are in order already.
	sort.Slice(list, func(i, j int) bool { return list[i].Position < list[j].Position })
	if int64(len(list)) != want {
		return nil, fmt.Errorf("%d entries listed behind position %d, the head counts %d: %w", len(list), after, want, ErrGap)
	}
	for i := range list {
		list[i].Head = afterHead + int64(i) + 1
	}
	return list, nil
}
