package layout

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var genKind = rapid.SampledFrom([]CheckpointKind{Root, Base, Archive})

func ExampleObjects() {
	o, s := NewObjects("demo", 1), Session(0x694d8f2c1a2b3c4d)
	for _, key := range []string{
		o.Root(), ClusterPrefix("demo"), ClusterFile("demo"), o.Flush(s, 7), o.FlushHedge(s, 7),
		o.CheckpointPrefix(Root), o.Checkpoint(Root, 4711, s, 0), o.Checkpoint(Base, 4711, s, 12),
	} {
		fmt.Println(key)
	}
	// Output:
	// demo/00000001/
	// demo/
	// demo/cluster.json
	// demo/00000001/06/flush/694d8f2c1a2b3c4d/0000000000000007.seg
	// demo/00000001/06/flush/694d8f2c1a2b3c4d/0000000000000007.h.seg
	// demo/00000001/checkpoint/root/
	// demo/00000001/checkpoint/root/00000000000000004711-694d8f2c1a2b3c4d-000
	// demo/00000001/checkpoint/base/00000000000000004711-694d8f2c1a2b3c4d-012
}

func TestObjectKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cluster := genCluster.Draw(t, "cluster")
		o := NewObjects(cluster, rapid.Uint32().Draw(t, "incarnation"))
		s := genSession.Draw(t, "session")
		flush := FlushName{Session: s, N: rapid.Uint64().Draw(t, "n"), Hedge: rapid.Bool().Draw(t, "hedge")}
		key := o.Flush(flush.Session, flush.N)
		if flush.Hedge {
			key = o.FlushHedge(flush.Session, flush.N)
		}
		if got, err := o.ParseFlush(key); err != nil || got != flush {
			t.Fatalf("%s: %+v %v, want %+v", key, got, err, flush)
		}
		cp := CheckpointName{
			Kind: genKind.Draw(t, "kind"), Head: rapid.Int64Min(0).Draw(t, "head"), Session: s,
			Part: rapid.IntRange(0, 1<<20).Draw(t, "part"),
		}
		name := o.Checkpoint(cp.Kind, cp.Head, cp.Session, cp.Part)
		if got, err := o.ParseCheckpoint(name); err != nil || got != cp {
			t.Fatalf("%s: %+v %v, want %+v", name, got, err, cp)
		}
		merged := MergedName{Session: s, N: flush.N}
		third := o.Merged(merged.Session, merged.N)
		if got, err := o.ParseMerged(third); err != nil || got != merged {
			t.Fatalf("%s: %+v %v, want %+v", third, got, err, merged)
		}
		if _, err := o.ParseFlush(third); err == nil {
			t.Fatalf("%s passes for a flush object", third)
		}
		if _, err := o.ParseMerged(key); err == nil {
			t.Fatalf("%s passes for a merged object", key)
		}
		for _, k := range []string{key, name, third} {
			if !strings.HasPrefix(k, o.Root()) || !strings.HasPrefix(k, ClusterPrefix(cluster)) {
				t.Fatalf("%s is outside %s", k, o.Root())
			}
		}
		if _, err := o.ParseCheckpoint(key); err == nil {
			t.Fatalf("%s passes for a checkpoint object", key)
		}
		if _, err := o.ParseFlush(name); err == nil {
			t.Fatalf("%s passes for a flush object", name)
		}
	})
}

// A parser takes exactly what its builder makes: whatever else it accepted would be a second name of one object.
func TestObjectParsersAcceptOnlyBuiltKeys(t *testing.T) {
	o := NewObjects("demo", 1)
	rapid.Check(t, func(t *rapid.T) {
		s, n := genSession.Draw(t, "session"), rapid.Uint64().Draw(t, "n")
		key := rapid.SampledFrom([]string{
			o.Flush(s, n), o.FlushHedge(s, n), o.Checkpoint(Base, int64(n>>1), s, int(n&1023)),
		}).Draw(t, "key")
		b := []byte(key)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			b[at] = rapid.Byte().Draw(t, "byte")
		case 1:
			b = append(b[:at:at], b[at+1:]...)
		default:
			b = append(b[:at:at], append([]byte{rapid.Byte().Draw(t, "byte")}, b[at:]...)...)
		}
		changed := string(b)
		if f, err := o.ParseFlush(changed); err == nil && o.flushKey(f) != changed {
			t.Fatalf("%q passes for %+v", changed, f)
		}
		if c, err := o.ParseCheckpoint(changed); err == nil && o.Checkpoint(c.Kind, c.Head, c.Session, c.Part) != changed {
			t.Fatalf("%q passes for %+v", changed, c)
		}
	})
}

func TestBadObjectKeys(t *testing.T) {
	o, s := NewObjects("demo", 1), Session(0x694d8f2c1a2b3c4d)
	good := o.Flush(s, 7)
	for _, key := range []string{
		"", "demo", o.Root(), o.Root() + "06", o.Root() + "06/", o.Root() + "06/flush/",
		strings.Replace(good, "/06/", "/07/", 1), // the spread digits follow from the name
		strings.Replace(good, "demo/", "other/", 1),
		strings.Replace(good, "/00000001/", "/00000002/", 1), // another incarnation's
		strings.TrimSuffix(good, ".seg"), good + ".seg", strings.Replace(good, ".seg", ".x.seg", 1),
		strings.ToUpper(good), strings.Replace(good, "flush", "merge", 1), "/" + good, good + "/",
	} {
		if _, err := o.ParseFlush(key); err == nil {
			t.Errorf("%q passes for a flush object", key)
		}
	}
	dir := o.Root() + "checkpoint/"
	for _, key := range []string{
		"", dir, dir + "root", dir + "root/",
		dir + "tree/00000000000000004711-694d8f2c1a2b3c4d-000",  // unknown kind
		dir + "root/4711-694d8f2c1a2b3c4d-000",                  // not padded: would not sort by age
		dir + "root/00000000000000004711-694d8f2c1a2b3c4d-0",    //
		dir + "root/00000000000000004711-694D8F2C1A2B3C4D-000",  //
		dir + "root/00000000000000004711-694d8f2c1a2b3c4d",      //
		dir + "root/00000000000000004711-694d8f2c1a2b3c4d-0-0",  //
		dir + "root/+0000000000000004711-694d8f2c1a2b3c4d-000",  //
		dir + "root/-0000000000000004711-694d8f2c1a2b3c4d-000",  //
		dir + "root/99999999999999999999-694d8f2c1a2b3c4d-000",  // above int64
		dir + "root/00000000000000004711-694d8f2c1a2b3c4d-+01",  //
		dir + "root/x/00000000000000004711-694d8f2c1a2b3c4d-00", //
		strings.Replace(o.Checkpoint(Root, 1, s, 0), "/00000001/", "/00000002/", 1),
	} {
		if _, err := o.ParseCheckpoint(key); err == nil {
			t.Errorf("%q passes for a checkpoint object", key)
		}
	}
}

// Names of one kind sort by head: the newest root in a bucket is the last one listed.
func TestCheckpointNamesSortByHead(t *testing.T) {
	o := NewObjects("demo", 1)
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64Min(0).Draw(t, "a"), rapid.Int64Min(0).Draw(t, "b")
		left := o.Checkpoint(Root, a, genSession.Draw(t, "left"), 999)
		right := o.Checkpoint(Root, b, genSession.Draw(t, "right"), 0)
		if a < b && left >= right {
			t.Fatalf("%s sorts behind %s", left, right)
		}
	})
}

// The digits in front spread flushes over the store's key ranges.
func TestFlushKeysSpread(t *testing.T) {
	o, seen := NewObjects("demo", 1), map[string]int{}
	for n := range uint64(4096) {
		key := o.Flush(Session(0x694d8f2c1a2b3c4d), n+1)
		seen[strings.TrimPrefix(key, o.Root())[:2]]++
	}
	if len(seen) < 200 {
		t.Errorf("4096 flushes of one session use %d of 256 prefixes", len(seen))
	}
	for digits, n := range seen {
		if n > 4096/16 {
			t.Errorf("%d of 4096 flushes are under %s", n, digits)
		}
	}
}
