package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	"wadi/metadata/kv/faultkv"
	"wadi/metadata/kv/memkv"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
	"wadi/objstore/fault"
	"wadi/objstore/mem"
)

const cluster = "demo"

var keys = layout.NewEtcd(cluster)

// place is an etcd and a bucket.
type place struct {
	t   *testing.T
	kv  *memkv.KV
	mem *mem.Store
}

func newPlace(t *testing.T) *place {
	p := &place{t: t, kv: memkv.New(memkv.Config{}), mem: mem.New()}
	t.Cleanup(func() { _ = p.kv.Close() })
	return p
}

func (p *place) run() (Identity, error) { return Run(p.t.Context(), p.kv, keys, p.mem, cluster) }

func (p *place) put(key string, value []byte) {
	p.t.Helper()
	if _, err := p.kv.Txn(p.t.Context(), kv.Txn{Then: []kv.Op{kv.Put(key, value, 0)}}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) bootstrapKey(id Identity) {
	p.t.Helper()
	value, err := proto.Marshal(&pb.Bootstrap{Cluster: id.Cluster, ClusterId: id.ClusterID, Incarnation: id.Incarnation})
	if err != nil {
		p.t.Fatal(err)
	}
	p.put(keys.Bootstrap(), value)
}

func (p *place) object(key, content string) {
	p.t.Helper()
	if err := p.mem.Put(p.t.Context(), key, objstore.NewBody([]byte(content))); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) file(id Identity) {
	p.t.Helper()
	data, err := json.Marshal(id)
	if err != nil {
		p.t.Fatal(err)
	}
	p.object(layout.ClusterFile(cluster), string(data))
}

func (p *place) keys() (list []string) {
	p.kv.Inspect(func(s *memkv.Store) { list = s.Keys() })
	return list
}

func (p *place) objects() (list []string) {
	p.t.Helper()
	infos, err := p.mem.List(p.t.Context(), layout.ClusterPrefix(cluster), "", 1000)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range infos {
		list = append(list, i.Key)
	}
	return list
}

func TestFirstStart(t *testing.T) {
	p := newPlace(t)
	id, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(id.ClusterID) || id.Incarnation != 1 || id.Cluster != cluster {
		t.Errorf("identity %+v", id)
	}
	again, err := p.run()
	if err != nil || again != id {
		t.Errorf("the second start: %+v, %v", again, err)
	}
	data, err := p.mem.Get(t.Context(), layout.ClusterFile(cluster), 0, -1)
	if err != nil || string(data) != `{"cluster":"demo","cluster_id":"`+id.ClusterID+`","incarnation":1}` {
		t.Errorf("cluster.json: %s, %v", data, err)
	}
	p.put(keys.Head(), nil) // the journal has begun
	if again, err = p.run(); err != nil || again != id {
		t.Errorf("a start with a journal: %+v, %v", again, err)
	}
}

// Every row of DESIGN section 3.3: the agent refuses to start, names both sides, and changes nothing.
func TestMismatches(t *testing.T) {
	one := Identity{Cluster: cluster, ClusterID: "AAAAAAAAAAAAAAAAAAAAAA", Incarnation: 1}
	two := Identity{Cluster: cluster, ClusterID: "BBBBBBBBBBBBBBBBBBBBBB", Incarnation: 1}
	later := one
	later.Incarnation = 2
	entry := keys.Entry(7, 1)
	for name, c := range map[string]struct {
		prepare func(p *place)
		says    []string
	}{
		"etcd wiped after a checkpoint, bucket intact": {func(p *place) {
			p.file(one)
			p.object(layout.NewObjects(cluster, 1).Checkpoint(layout.Root, 12, 7, 0), "root")
		}, []string{one.ClusterID, "etcd knows no such cluster", "wadi recover"}},
		"cluster.json alone":              {func(p *place) { p.file(one) }, []string{one.ClusterID, "wadi recover"}},
		"cluster.json and a journal":      {func(p *place) { p.file(one); p.put(entry, nil) }, []string{one.ClusterID}},
		"a head without bootstrap":        {func(p *place) { p.put(keys.Head(), nil) }, []string{keys.Root(), "no bootstrap key"}},
		"an entry without bootstrap":      {func(p *place) { p.put(entry, nil) }, []string{keys.Root(), "no bootstrap key"}},
		"a pointer without bootstrap":     {func(p *place) { p.put(keys.Checkpoint(), nil) }, []string{keys.Root(), "no bootstrap key"}},
		"objects without cluster.json":    {func(p *place) { p.object("demo/old", "x") }, []string{"demo/", "not"}},
		"a head without cluster.json":     {func(p *place) { p.bootstrapKey(one); p.put(keys.Head(), nil) }, []string{one.ClusterID, "cluster.json"}},
		"an entry without cluster.json":   {func(p *place) { p.bootstrapKey(one); p.put(entry, nil) }, []string{one.ClusterID, "cluster.json"}},
		"a pointer without cluster.json":  {func(p *place) { p.bootstrapKey(one); p.put(keys.Checkpoint(), nil) }, []string{one.ClusterID, "cluster.json"}},
		"different ids":                   {func(p *place) { p.bootstrapKey(one); p.file(two) }, []string{one.ClusterID, two.ClusterID}},
		"different incarnations":          {func(p *place) { p.bootstrapKey(later); p.file(one) }, []string{"incarnation 2", "incarnation 1"}},
		"cluster.json that is not JSON":   {func(p *place) { p.bootstrapKey(one); p.object("demo/cluster.json", "{") }, []string{"cluster.json"}},
		"a bootstrap key that is garbage": {func(p *place) { p.put(keys.Bootstrap(), []byte("x")) }, []string{"bootstrap key"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			c.prepare(p)
			k, o := strings.Join(p.keys(), " "), strings.Join(p.objects(), " ")
			_, err := p.run()
			if !errors.Is(err, ErrMismatch) {
				t.Fatalf("%v", err)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not say %q", err, word)
				}
			}
			if strings.Join(p.keys(), " ") != k || strings.Join(p.objects(), " ") != o {
				t.Errorf("something was changed: %v, %v", p.keys(), p.objects())
			}
		})
	}
}

// A process died between the key and cluster.json: any other goes on with the same identity.
func TestDiedBetween(t *testing.T) {
	p := newPlace(t)
	stalled := fault.New(p.mem)
	stalled.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailBefore(nil)})
	if _, err := Run(t.Context(), p.kv, keys, stalled, cluster); !errors.Is(err, fault.ErrInjected) || errors.Is(err, ErrMismatch) {
		t.Fatalf("%v", err)
	}
	if len(p.objects()) != 0 || len(p.keys()) != 1 {
		t.Fatalf("left behind: %v, %v", p.keys(), p.objects())
	}
	a, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	lost := fault.New(p.mem)
	lost.Script(fault.Fault{Op: fault.Put, Times: -1, Do: fault.FailAfter(nil)})
	if b, err := Run(t.Context(), p.kv, keys, lost, cluster); err != nil || a != b {
		t.Fatalf("%+v, %v: cluster.json is there, nothing is to be written", b, err)
	}
}

// However a call fails, a later start settles on one identity.
func TestEveryCallFails(t *testing.T) {
	for n := 1; ; n++ {
		fired := 0
		for _, action := range []faultkv.Action{faultkv.FailBefore, faultkv.LoseAnswer} {
			p := newPlace(t)
			k := faultkv.New(p.kv)
			h := k.Add(faultkv.Rule{Op: faultkv.Txn, Nth: n, Action: action})
			_, err := Run(t.Context(), k, keys, p.mem, cluster)
			if h.Hits() > 0 && (!errors.Is(err, kv.ErrUnavailable) || errors.Is(err, ErrMismatch)) {
				t.Fatalf("call %d, %v: %v", n, action, err)
			}
			fired += h.Hits()
			p.settles()
		}
		for _, do := range []fault.Effect{fault.FailBefore(nil), fault.FailAfter(nil)} {
			p := newPlace(t)
			o := fault.New(p.mem)
			h := o.Script(fault.Fault{Nth: n, Do: do})
			_, err := Run(t.Context(), p.kv, keys, o, cluster)
			if h.Fired() > 0 && (!errors.Is(err, fault.ErrInjected) || errors.Is(err, ErrMismatch)) {
				t.Fatalf("object call %d: %v", n, err)
			}
			fired += h.Fired()
			p.settles()
		}
		if fired == 0 {
			if n < 4 {
				t.Fatalf("only %d calls were tried", n-1)
			}
			return
		}
	}
}

func (p *place) settles() {
	p.t.Helper()
	a, err := p.run()
	if err != nil {
		p.t.Fatal(err)
	}
	if b, err := p.run(); err != nil || a != b {
		p.t.Fatalf("%+v, %+v, %v", a, b, err)
	}
}

// Regression R7: what cannot be reached or is refused is said, never passed over.
func TestUnreachable(t *testing.T) {
	p := newPlace(t)
	k := faultkv.New(p.kv)
	k.Add(faultkv.Rule{Op: faultkv.Txn, Times: -1, Action: faultkv.FailBefore, Err: kv.ErrDenied})
	if _, err := Run(t.Context(), k, keys, p.mem, cluster); !errors.Is(err, kv.ErrDenied) {
		t.Errorf("etcd denies: %v", err)
	}
	o := fault.New(p.mem)
	o.Script(fault.Fault{Times: -1, Do: fault.FailBefore(objstore.ErrDenied)})
	if _, err := Run(t.Context(), p.kv, keys, o, cluster); !errors.Is(err, objstore.ErrDenied) {
		t.Errorf("the bucket denies: %v", err)
	}
	if len(p.keys()) != 0 {
		t.Errorf("decided all the same: %v", p.keys())
	}
}

// Ten agents start at once on nothing: all find one identity, none is refused.
func TestConcurrent(t *testing.T) {
	for range 50 {
		p := newPlace(t)
		ids, errs := make([]Identity, 10), make([]error, 10)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() { ids[i], errs[i] = p.run() })
		}
		wg.Wait()
		for i := range ids {
			if errs[i] != nil || ids[i] != ids[0] {
				t.Fatalf("agent %d: %+v, %v; agent 0: %+v", i, ids[i], errs[i], ids[0])
			}
		}
	}
}

// Another agent decides and writes between this one's look at etcd and its look at the bucket.
func TestOvertaken(t *testing.T) {
	for n := 1; n <= 2; n++ { // before the GET of cluster.json, and between it and the LIST
		p := newPlace(t)
		var other Identity
		o := fault.New(p.mem)
		o.Script(fault.Fault{Nth: n, Do: fault.Hook(func(context.Context, fault.Call) error {
			var err error
			other, err = p.run()
			p.put(keys.Head(), nil) // and begins its journal
			return err
		}, nil)})
		id, err := Run(t.Context(), p.kv, keys, o, cluster)
		if err != nil || id != other {
			t.Fatalf("before bucket call %d: %+v, %v, want %+v", n, id, err, other)
		}
	}
}
