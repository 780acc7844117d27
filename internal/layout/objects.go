package layout

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// Objects builds the object keys of one incarnation of one cluster. Example: demo/00000001/3f/flush/...
type Objects struct {
	cluster     string
	incarnation uint32
	root        string
}

// NewObjects is the key space of an incarnation (1 at bootstrap).
func NewObjects(cluster string, incarnation uint32) Objects {
	return Objects{cluster: cluster, incarnation: incarnation, root: fmt.Sprintf("%s/%08x/", cluster, incarnation)}
}

// Root is the prefix of all objects of the incarnation: demo/00000001/
func (o Objects) Root() string { return o.root }

// ClusterFile ties a bucket prefix to a cluster: demo/cluster.json
func ClusterFile(cluster string) string { return cluster + "/cluster.json" }

// ClusterPrefix covers everything a cluster ever stores: demo/
func ClusterPrefix(cluster string) string { return cluster + "/" }

// Flush is a segment written by an agent's ingest: demo/00000001/3f/flush/694d8f2c1a2b3c4d/0000000000000007.seg
// The two hex digits in front spread the load over S3's key ranges.
func (o Objects) Flush(s Session, n uint64) string { return o.flush(s, n, ".seg") }

// FlushHedge is the second attempt of the same flush: demo/00000001/3f/flush/694d8f2c1a2b3c4d/0000000000000007.h.seg
func (o Objects) FlushHedge(s Session, n uint64) string { return o.flush(s, n, ".h.seg") }

// Merged is a segment written by a merge: demo/00000001/a7/merge/694d8f2c1a2b3c4d/0000000000000007.seg
func (o Objects) Merged(s Session, n uint64) string { return o.spread("merge", s, n, ".seg") }

// Manifest lists runs of one partition: demo/00000001/5c/manifest/694d8f2c1a2b3c4d/0000000000000008.man
func (o Objects) Manifest(s Session, n uint64) string { return o.spread("manifest", s, n, ".man") }

func (o Objects) flush(s Session, n uint64, suffix string) string {
	return o.spread("flush", s, n, suffix)
}

func (o Objects) spread(dir string, s Session, n uint64, suffix string) string {
	name := fmt.Sprintf("%s/%s/%016x", dir, s, n)
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%s%02x/%s%s", o.root, byte(h.Sum32()), name, suffix)
}

// FlushName is a parsed flush key.
type FlushName struct {
	Session Session
	N       uint64
	Hedge   bool
}

// ParseFlush is the inverse of Flush and FlushHedge.
func (o Objects) ParseFlush(key string) (FlushName, error) {
	at, ok := o.parseSpread(key, "flush/")
	name := FlushName{Session: at.Session, N: at.N, Hedge: strings.HasSuffix(key, ".h.seg")}
	if !ok || o.flushKey(name) != key {
		return FlushName{}, fmt.Errorf("not a flush object: %q", key)
	}
	return name, nil
}

// MergedName is a parsed key of a merged segment, or of a manifest.
type MergedName struct {
	Session Session
	N       uint64
}

// ParseMerged is the inverse of Merged.
func (o Objects) ParseMerged(key string) (MergedName, error) {
	name, ok := o.parseSpread(key, "merge/")
	if !ok || o.Merged(name.Session, name.N) != key {
		return MergedName{}, fmt.Errorf("not a merged object: %q", key)
	}
	return name, nil
}

// ParseManifest is the inverse of Manifest.
func (o Objects) ParseManifest(key string) (MergedName, error) {
	name, ok := o.parseSpread(key, "manifest/")
	if !ok || o.Manifest(name.Session, name.N) != key {
		return MergedName{}, fmt.Errorf("not a manifest: %q", key)
	}
	return name, nil
}

// parseSpread takes session and number out of a key; the caller makes the key again, to see that it is that one.
func (o Objects) parseSpread(key, dir string) (name MergedName, ok bool) {
	rest, ok := strings.CutPrefix(key, o.root)
	if !ok || len(rest) < 3 {
		return name, false
	}
	rest, ok = strings.CutPrefix(rest[3:], dir)
	if !ok || len(rest) < 34 || rest[16] != '/' {
		return name, false
	}
	s, err1 := ParseSession(rest[:16])
	n, err2 := parseHex(rest[17:33])
	return MergedName{Session: s, N: n}, err1 == nil && err2 == nil
}

func (o Objects) flushKey(f FlushName) string {
	if f.Hedge {
		return o.FlushHedge(f.Session, f.N)
	}
	return o.Flush(f.Session, f.N)
}

// CheckpointKind tells a checkpoint's objects apart.
type CheckpointKind string

const (
	Root    CheckpointKind = "root"
	Base    CheckpointKind = "base"
	Archive CheckpointKind = "archive"
)

// CheckpointPrefix covers one kind: demo/00000001/checkpoint/root/
func (o Objects) CheckpointPrefix(kind CheckpointKind) string {
	return o.root + "checkpoint/" + string(kind) + "/"
}

// Checkpoint is one object of a checkpoint: demo/00000001/checkpoint/root/00000000000000004711-694d8f2c1a2b3c4d-000
// head is the head's Version at the mark, so names sort by age; part counts a base's objects from 0.
func (o Objects) Checkpoint(kind CheckpointKind, head int64, s Session, part int) string {
	return fmt.Sprintf("%s%020d-%s-%03d", o.CheckpointPrefix(kind), head, s, part)
}

// CheckpointName is a parsed checkpoint key.
type CheckpointName struct {
	Kind    CheckpointKind
	Head    int64
	Session Session
	Part    int
}

// ParseCheckpoint is the inverse of Checkpoint.
func (o Objects) ParseCheckpoint(key string) (CheckpointName, error) {
	bad := fmt.Errorf("not a checkpoint object: %q", key)
	rest, ok := strings.CutPrefix(key, o.root+"checkpoint/")
	if !ok {
		return CheckpointName{}, bad
	}
	kind, rest, ok := strings.Cut(rest, "/")
	f := strings.Split(rest, "-")
	if !ok || len(f) != 3 {
		return CheckpointName{}, bad
	}
	head, err1 := strconv.ParseInt(f[0], 10, 64)
	s, err2 := ParseSession(f[1])
	part, err3 := strconv.Atoi(f[2])
	name := CheckpointName{Kind: CheckpointKind(kind), Head: head, Session: s, Part: part}
	switch {
	case err1 != nil, err2 != nil, err3 != nil:
		return CheckpointName{}, bad
	case name.Kind != Root && name.Kind != Base && name.Kind != Archive:
		return CheckpointName{}, bad
	case o.Checkpoint(name.Kind, head, s, part) != key:
		return CheckpointName{}, bad
	}
	return name, nil
}
