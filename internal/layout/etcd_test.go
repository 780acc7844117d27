package layout

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	genCluster = rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?`)
	genSession = rapid.Custom(func(t *rapid.T) Session { return Session(rapid.Int64().Draw(t, "session")) })
)

func ExampleEtcd() {
	e := NewEtcd("demo")
	s := Session(0x694d8f2c1a2b3c4d)
	for _, key := range []string{
		e.Root(), e.Bootstrap(), e.JournalPrefix(), e.Head(), e.Entry(s, 1), e.Checkpoint(), e.SessionKey(s),
		e.Digest(s), e.Job("checkpoint"), e.Void(42),
	} {
		fmt.Println(key)
	}
	// Output:
	// /wadi/demo/
	// /wadi/demo/bootstrap
	// /wadi/demo/journal/
	// /wadi/demo/journal/~head
	// /wadi/demo/journal/694d8f2c1a2b3c4d/0000000000000001
	// /wadi/demo/checkpoint
	// /wadi/demo/sessions/694d8f2c1a2b3c4d
	// /wadi/demo/digests/694d8f2c1a2b3c4d
	// /wadi/demo/jobs/checkpoint
	// /wadi/demo/void/000000000000002a
}

func TestEtcdKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cluster := genCluster.Draw(t, "cluster")
		if err := ValidClusterName(cluster); err != nil {
			t.Fatalf("a drawn name is refused: %v", err)
		}
		e, s := NewEtcd(cluster), genSession.Draw(t, "session")
		seq := rapid.Uint64Min(1).Draw(t, "seq")
		if gotS, gotSeq, err := e.ParseEntry(e.Entry(s, seq)); err != nil || gotS != s || gotSeq != seq {
			t.Fatalf("entry: %v %d %v, want %v %d", gotS, gotSeq, err, s, seq)
		}
		if got, err := ParseSession(s.String()); err != nil || got != s {
			t.Fatalf("session: %v %v, want %v", got, err, s)
		}
		if got, err := e.ParseSessionKey(e.SessionKey(s)); err != nil || got != s {
			t.Fatalf("session key: %v %v, want %v", got, err, s)
		}
		if got, err := e.ParseDigest(e.Digest(s)); err != nil || got != s {
			t.Fatalf("digest key: %v %v, want %v", got, err, s)
		}
		position := rapid.Int64().Draw(t, "position")
		if got, err := e.ParseVoid(e.Void(position)); err != nil || got != position {
			t.Fatalf("void key: %d %v, want %d", got, err, position)
		}
	})
}

// One parser per key: what one key's parser takes, no other key's parser takes, and no other cluster's.
func TestEtcdKeysAreTold(t *testing.T) {
	e, s := NewEtcd("demo"), Session(7)
	keys := map[string]string{
		"entry": e.Entry(s, 9), "session": e.SessionKey(s), "digest": e.Digest(s), "void": e.Void(9),
		"head": e.Head(), "checkpoint": e.Checkpoint(), "bootstrap": e.Bootstrap(), "job": e.Job("gc"), "root": e.Root(),
	}
	parsers := map[string]func(Etcd, string) error{
		"entry":   func(e Etcd, k string) error { _, _, err := e.ParseEntry(k); return err },
		"session": func(e Etcd, k string) error { _, err := e.ParseSessionKey(k); return err },
		"digest":  func(e Etcd, k string) error { _, err := e.ParseDigest(k); return err },
		"void":    func(e Etcd, k string) error { _, err := e.ParseVoid(k); return err },
	}
	for parser, parse := range parsers {
		for name, key := range keys {
			if err := parse(e, key); (err == nil) != (name == parser) {
				t.Errorf("parser of %s on the %s key %q: %v", parser, name, key, err)
			}
		}
		if parse(NewEtcd("dem"), keys[parser]) == nil || parse(NewEtcd("demo2"), keys[parser]) == nil {
			t.Errorf("parser of %s takes the key of another cluster", parser)
		}
	}
}

func TestBadEtcdKeys(t *testing.T) {
	e := NewEtcd("demo")
	const s, n = "694d8f2c1a2b3c4d", "0000000000000001"
	for _, key := range []string{
		"", "/", e.JournalPrefix(), e.Head(),
		"/wadi/demo/journal/" + s, "/wadi/demo/journal/" + s + "/", "/wadi/demo/journal/" + s + "/1",
		"/wadi/demo/journal/" + s + "/0000000000000000",        // sequences start at 1
		"/wadi/demo/journal/" + strings.ToUpper(s) + "/" + n,   // one spelling per key
		"/wadi/demo/journal/" + s + "/000000000000000A",        //
		"/wadi/demo/journal/+94d8f2c1a2b3c4d/" + n,             // what ParseUint would take or half take
		"/wadi/demo/journal/" + s + "/0x00000000000001",        //
		"/wadi/demo/journal/" + s + "/00000000_0000001",        //
		"/wadi/demo/journal/" + s + "-" + n,                    //
		"/wadi/demo/journal/" + s + "/" + n + "/",              //
		"/wadi/demo/journal/" + s + "/" + n + "0",              //
		"wadi/demo/journal/" + s + "/" + n,                     //
		"/wadi/demo/journal/" + s[:15] + "/" + n + "0",         //
		"/wadi/demo/journal/694d8f2c1a2b3c4\xff/" + n,          //
		"/wadi/demo/journal//694d8f2c1a2b3c4d/" + n[:len(n)-1], //
	} {
		if _, _, err := e.ParseEntry(key); err == nil {
			t.Errorf("%q passes for an entry key", key)
		}
	}
	for _, rest := range []string{"", s[:15], s + "0", strings.ToUpper(s), "-94d8f2c1a2b3c4d", s + "/"} {
		if _, err := e.ParseSessionKey(e.SessionsPrefix() + rest); err == nil {
			t.Errorf("%q passes for a session key", rest)
		}
		if _, err := e.ParseDigest(e.DigestsPrefix() + rest); err == nil {
			t.Errorf("%q passes for a digest key", rest)
		}
		if _, err := e.ParseVoid(e.VoidPrefix() + rest); err == nil {
			t.Errorf("%q passes for a void key", rest)
		}
		if _, err := ParseSession(rest); err == nil {
			t.Errorf("%q passes for a session", rest)
		}
	}
}

// Entries of a session sort by sequence, and all entries before the head: views page through them in key order.
func TestEntriesSortBeforeHead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, s := NewEtcd("demo"), genSession.Draw(t, "session")
		a, b := rapid.Uint64Min(1).Draw(t, "a"), rapid.Uint64Min(1).Draw(t, "b")
		if (a < b) != (e.Entry(s, a) < e.Entry(s, b)) {
			t.Fatalf("order of %d and %d is not that of their keys", a, b)
		}
		if e.Entry(s, a) >= e.Head() {
			t.Fatalf("%s does not sort before the head", e.Entry(s, a))
		}
	})
}

// Prefixes cover their own keys only, so that a watch or a delete under one never meets another's.
func TestEtcdPrefixesAreDisjoint(t *testing.T) {
	e, s := NewEtcd("demo"), Session(7)
	prefixes := []string{e.JournalPrefix(), e.SessionsPrefix(), e.DigestsPrefix(), e.JobsPrefix(), e.VoidPrefix()}
	keys := []string{e.Entry(s, 1), e.SessionKey(s), e.Digest(s), e.Job("gc"), e.Void(1), e.Bootstrap(), e.Checkpoint()}
	for i, key := range keys {
		if !strings.HasPrefix(key, e.Root()) {
			t.Errorf("%s is outside %s", key, e.Root())
		}
		for j, prefix := range prefixes {
			if strings.HasPrefix(key, prefix) != (i == j) {
				t.Errorf("%s under %s: %v", key, prefix, i != j)
			}
		}
	}
	if !strings.HasPrefix(e.Head(), e.JournalPrefix()) {
		t.Errorf("the head is not under the journal")
	}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 7 {
		t.Errorf("two keys are equal")
	}
}

func TestValidClusterName(t *testing.T) {
	for _, name := range []string{"a", "0", "demo", "a-b", "a--b", strings.Repeat("a", 64)} {
		if err := ValidClusterName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-", "-a", "a-", "A", "a.b", "a_b", "a/b", "ä", "a b", "..", strings.Repeat("a", 65)} {
		if ValidClusterName(name) == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
