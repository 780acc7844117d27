package sim

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"wadi/internal/kafkaconfig"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// ordersConfigs let the records of orders expire in some runs, by age or by bytes.
func (w *World) ordersConfigs() []*pb.Config {
	set := map[string]string{}
	if w.chance(0.4) {
		set[kafkaconfig.RetentionMs] = w.ms(1500, 6000)
	}
	if w.chance(0.2) {
		set[kafkaconfig.RetentionBytes] = w.ms(5000, 60_000)
	}
	if w.chance(0.7) {
		set["segment.ms"] = w.ms(100, 2000)
	}
	return configs(set)
}

// tableConfigs make tables compacted, with lags and times that pass in a run.
func (w *World) tableConfigs() []*pb.Config {
	set := map[string]string{
		kafkaconfig.CleanupPolicy: "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": w.ms(1, 1000),
		"delete.retention.ms": w.ms(0, 3000),
	}
	if w.chance(0.3) {
		n := 1 + w.rng.IntN(3000)
		w.oracle.youngest = time.Duration(n) * time.Millisecond
		set["min.compaction.lag.ms"] = strconv.Itoa(n)
	}
	if w.chance(0.3) {
		set[kafkaconfig.CleanupPolicy], set[kafkaconfig.RetentionMs] = "compact,delete", w.ms(2000, 8000)
	}
	if w.chance(0.3) {
		policy := set[kafkaconfig.CleanupPolicy]
		set[kafkaconfig.CleanupPolicy], set[kafkaconfig.RetentionMs] = "delete", "-1"
		w.after(w.between(3*time.Second, 9*time.Second), func() { w.compactTable(policy) })
	}
	n, err := strconv.Atoi(set["delete.retention.ms"])
	if err != nil {
		panic(err)
	}
	w.oracle.tombstones = time.Duration(n) * time.Millisecond
	return configs(set)
}

// compactTable asks random agents until tables are compacted from then on: what was folded before comes back.
func (w *World) compactTable(policy string) {
	if t := w.oracle.st.TopicByNumber(w.table); t != nil && effective(t).Compact {
		return
	}
	w.after(w.between(time.Millisecond, 300*time.Millisecond), func() { w.compactTable(policy) })
	if a := w.anyAgent(); a.up && a.opened && w.table != 0 {
		a.deliver(func() {
			a.propose(&pb.Command{Base: a.view.State().Position(), Kind: &pb.Command_AlterConfigs{AlterConfigs: &pb.AlterConfigs{
				Type: uint32(state.TopicConfigs), Topic: w.table, Set: configs(map[string]string{kafkaconfig.CleanupPolicy: policy}),
			}}}, func(session.Outcome) {})
		})
	}
}

func (w *World) ms(from, to int) string { return strconv.Itoa(from + w.rng.IntN(to-from)) }

func configs(set map[string]string) (list []*pb.Config) {
	for name, value := range set {
		list = append(list, &pb.Config{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b *pb.Config) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// effective is what a topic's configs mean.
func effective(t *state.Topic) *kafkaconfig.Effective {
	own := map[string]string{}
	for _, c := range t.Configs {
		own[c.Name] = c.Value
	}
	return kafkaconfig.Defaults.With(maps.All(own))
}
