package state

import (
	"fmt"
	"maps"
	"slices"

	"pgregory.net/rapid"

	pb "wadi/metadata/metadatapb"
)

type twinResource struct {
	typ  uint32
	name string
}

// twinConfigs is what was set for every resource that is not a topic.
type twinConfigs struct {
	values  map[twinResource]map[string]string
	changed map[twinResource]int64
	emptied int64 // the last change that left one without any
}

func newTwinConfigs() twinConfigs {
	return twinConfigs{values: map[twinResource]map[string]string{}, changed: map[twinResource]int64{}}
}

func (w *twin) alter(base int64, k *pb.AlterConfigs) Result {
	topic, other := k.Type == 2 && k.Name == "", (k.Type == 4 || k.Type == 16 || k.Type == 32) && k.Topic == 0
	names := []string{""}
	for _, c := range k.Set {
		names = append(names, c.Name)
	}
	sound := slices.IsSorted(names) && slices.IsSorted(k.Remove) && len(slices.Compact(names)) == len(k.Set)+1 &&
		len(slices.Compact(slices.Clone(k.Remove))) == len(k.Remove) && !slices.Contains(k.Remove, "")
	if !(topic || other) || !sound {
		return Result{Code: Invalid}
	}
	at := twinResource{k.Type, k.Name}
	old, changed := w.configs.values[at], w.configs.changed[at]
	var t *twinTopic
	if topic {
		if t = w.live(k.Topic); t == nil {
			return Result{Code: UnknownTopic}
		}
		old, changed = map[string]string{}, t.Changed
		for _, c := range t.Configs {
			old[c.Name] = c.Value
		}
	} else if len(old) == 0 {
		changed = w.configs.emptied
	}
	fresh := map[string]string{}
	if !k.Replace {
		maps.Copy(fresh, old)
	}
	for _, n := range k.Remove {
		delete(fresh, n)
	}
	for _, c := range k.Set {
		fresh[c.Name] = c.Value
	}
	res := Result{}
	if topic {
		res.ID = int64(t.Number)
	}
	switch {
	case changed > base:
		res.Code = Conflict
	case maps.Equal(old, fresh):
	case topic:
		t.Changed, t.ChangedBy, t.Configs = w.position, w.session, nil
		for _, n := range slices.Sorted(maps.Keys(fresh)) {
			t.Configs = append(t.Configs, &pb.Config{Name: n, Value: fresh[n]})
		}
		t.LogAppendTime = fresh["message.timestamp.type"] == "LogAppendTime"
	default:
		w.configs.values[at], w.configs.changed[at] = fresh, w.position
		if len(fresh) == 0 {
			w.configs.emptied = w.position
		}
	}
	return res
}

// stamps reports whether batches of a topic carry the time of appending.
func (w *twin) stamps(t *twinTopic) bool {
	for _, c := range t.Configs {
		if c.Name == "message.timestamp.type" {
			return c.Value == "LogAppendTime"
		}
	}
	return w.configs.values[twinResource{4, ""}]["log.message.timestamp.type"] == "LogAppendTime"
}

func (w *twin) compareConfigs(s *State) error {
	n := 0
	for at, want := range w.configs.values {
		r := s.Configs(ResourceType(at.typ), at.name)
		if (r != nil) != (len(want) > 0) {
			return fmt.Errorf("configs of %v: %v, want %v", at, r, want)
		}
		if r == nil {
			continue
		}
		n++
		got := map[string]string{}
		for _, c := range r.Configs {
			got[c.Name] = c.Value
		}
		if !maps.Equal(got, want) || r.Changed != w.configs.changed[at] {
			return fmt.Errorf("configs of %v: %v at %d, want %v at %d", at, got, r.Changed, want, w.configs.changed[at])
		}
	}
	visited := 0
	for _, typ := range []ResourceType{BrokerConfigs, MetricsConfigs, GroupConfigs} {
		s.EachConfigs(typ, func(*ConfigResource) { visited++ })
	}
	if visited != n {
		return fmt.Errorf("%d resources with configs, want %d", visited, n)
	}
	var err error
	s.EachTopic(func(t *Topic) {
		if want := w.stamps(w.live(t.Number)); s.StampsAppendTime(t) != want {
			err = fmt.Errorf("topic %d carries the time of appending: %v, want %v", t.Number, !want, want)
		}
	})
	return err
}

// alter draws a change of configs, mostly of what is there.
func (d *drawing) alter(t *rapid.T, base int64) *pb.Command {
	k := &pb.AlterConfigs{Type: rapid.SampledFrom([]uint32{2, 2, 2, 4, 4, 32, 16, 3}).Draw(t, "type")}
	if k.Type == 2 {
		k.Topic = d.topic(t)
	} else {
		k.Name = rapid.SampledFrom([]string{"", "", "1", "g"}).Draw(t, "resource")
	}
	if rarely(t, "topic and name") {
		k.Topic, k.Name = 1, "x"
	}
	names := []string{"a", "b", "log.message.timestamp.type", "message.timestamp.type", "z"}
	for _, n := range names {
		if rapid.IntRange(0, 2).Draw(t, "set "+n) == 0 {
			v := rapid.SampledFrom([]string{"LogAppendTime", "CreateTime", ""}).Draw(t, "value")
			k.Set = append(k.Set, &pb.Config{Name: n, Value: v})
		}
		if rapid.IntRange(0, 2).Draw(t, "remove "+n) == 0 {
			k.Remove = append(k.Remove, n)
		}
	}
	if rarely(t, "out of order") {
		slices.Reverse(k.Set)
		slices.Reverse(k.Remove)
	}
	k.Replace = rapid.IntRange(0, 3).Draw(t, "replace") == 0
	return &pb.Command{Base: base, Kind: &pb.Command_AlterConfigs{AlterConfigs: k}}
}

// defaultsChanged is when the configs of all brokers changed; while there are none, when any resource lost all of its own.
func (w *twin) defaultsChanged() int64 {
	r := twinResource{uint32(BrokerConfigs), ""}
	if len(w.configs.values[r]) > 0 {
		return w.configs.changed[r]
	}
	return w.configs.emptied
}
