package assignor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func parts(topic uint64, partitions ...uint32) (list []Partition) {
	for _, p := range partitions {
		list = append(list, Partition{topic, p})
	}
	return list
}

func TestRange(t *testing.T) {
	both := []Topic{{1, 3}, {2, 3}}
	got := Range([]Member{{ID: "b", Topics: both}, {ID: "a", Topics: both}})
	require.Equal(t, map[string][]Partition{
		"a": append(parts(1, 0, 1), parts(2, 0, 1)...),
		"b": append(parts(1, 2), parts(2, 2)...),
	}, got)
	got = Range([]Member{{ID: "a", Instance: "z", Topics: both[:1]}, {ID: "b", Instance: "y", Topics: both[:1]}, {ID: "c"}})
	require.Equal(t, map[string][]Partition{"b": parts(1, 0, 1), "a": parts(1, 2), "c": nil}, got, "instance ids go before member ids")
}

func TestUniformKeeps(t *testing.T) {
	topic := []Topic{{1, 6}}
	got := Uniform([]Member{
		{ID: "a", Topics: topic, Before: parts(1, 0, 1, 2, 3, 4, 5)},
		{ID: "b", Topics: topic},
	})
	require.Equal(t, map[string][]Partition{"a": parts(1, 0, 1, 2), "b": parts(1, 3, 4, 5)}, got)
	got = Uniform([]Member{
		{ID: "a", Topics: topic, Before: parts(1, 0, 1, 2)},
		{ID: "b", Topics: topic, Before: parts(1, 3, 4, 5)},
		{ID: "c", Topics: topic},
	})
	require.Equal(t, map[string][]Partition{"a": parts(1, 0, 1), "b": parts(1, 3, 4), "c": parts(1, 2, 5)}, got)
}

// Any members and topics: every partition has one owner, who subscribes to it; the loads are as even as they can be, one
// move at a time; who is asked again gives the same answer; and what was there before stays unless it unbalances.
func TestUniformProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		topics := make([]Topic, rapid.IntRange(0, 5).Draw(t, "topics"))
		for i := range topics {
			topics[i] = Topic{uint64(i + 1), uint32(rapid.IntRange(0, 12).Draw(t, "partitions"))}
		}
		members := make([]Member, rapid.IntRange(1, 7).Draw(t, "members"))
		alike := rapid.Bool().Draw(t, "alike")
		for i := range members {
			members[i].ID = fmt.Sprintf("m%d", i)
			for _, topic := range topics {
				if alike || rapid.Bool().Draw(t, "subscribes") {
					members[i].Topics = append(members[i].Topics, topic)
				}
			}
			for range rapid.IntRange(0, 10).Draw(t, "before") {
				members[i].Before = append(members[i].Before, Partition{
					uint64(rapid.IntRange(1, 6).Draw(t, "topic")), uint32(rapid.IntRange(0, 13).Draw(t, "partition")),
				})
			}
		}
		for _, name := range Names {
			got := Named(name)(members)
			checkWhole(t, members, got)
			require.Equal(t, got, Named(name)(members))
		}
		got := Uniform(members)
		checkEven(t, members, got)
		for i := range members {
			members[i].Before = got[members[i].ID]
		}
		require.Equal(t, got, Uniform(members), "what is balanced stays as it is")
		if alike && len(members) > 1 {
			checkFewMoves(t, members[:len(members)-1], got)
		}
	})
}

func checkWhole(t *rapid.T, members []Member, got map[string][]Partition) {
	owner := map[Partition]string{}
	want := map[Partition]bool{}
	for _, m := range members {
		require.True(t, slices.IsSortedFunc(got[m.ID], compare))
		for _, topic := range m.Topics {
			for p := range topic.Partitions {
				want[Partition{topic.Number, p}] = true
			}
		}
		for _, p := range got[m.ID] {
			require.Empty(t, owner[p], "%v has two owners", p)
			owner[p] = m.ID
			require.True(t, slices.ContainsFunc(m.Topics, func(x Topic) bool { return x.Number == p.Topic && p.Partition < x.Partitions }))
		}
	}
	require.Len(t, got, len(members))
	require.Len(t, owner, len(want))
}

func checkEven(t *rapid.T, members []Member, got map[string][]Partition) {
	for _, m := range members {
		for _, p := range got[m.ID] {
			for _, other := range members {
				subscribed := slices.ContainsFunc(other.Topics, func(x Topic) bool { return x.Number == p.Topic })
				require.False(t, subscribed && len(got[m.ID])-len(got[other.ID]) >= 2, "%v should be %s's, not %s's", p, other.ID, m.ID)
			}
		}
	}
}

// checkFewMoves takes the last member away: nobody else loses anything.
func checkFewMoves(t *rapid.T, left []Member, before map[string][]Partition) {
	after := Uniform(left)
	for _, m := range left {
		for _, p := range before[m.ID] {
			require.Contains(t, after[m.ID], p)
		}
	}
}

func BenchmarkUniform(b *testing.B) {
	topics := make([]Topic, 10)
	for i := range topics {
		topics[i] = Topic{uint64(i + 1), 1000}
	}
	members := make([]Member, 500)
	for i := range members {
		members[i] = Member{ID: fmt.Sprintf("m%03d", i), Topics: topics}
	}
	got := Uniform(members)
	for i := range members {
		members[i].Before = got[members[i].ID]
	}
	members[7].Before = nil
	for b.Loop() {
		Uniform(members)
	}
}
