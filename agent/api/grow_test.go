package api

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

func grow(version int16, topics ...kmsg.CreatePartitionsRequestTopic) *kmsg.CreatePartitionsRequest {
	r := kmsg.NewPtrCreatePartitionsRequest()
	r.SetVersion(version)
	r.TimeoutMillis = 5000
	r.Topics = topics
	return r
}

func growTo(name string, count int32, assignments ...[]int32) kmsg.CreatePartitionsRequestTopic {
	t := kmsg.CreatePartitionsRequestTopic{Topic: name, Count: count}
	for _, replicas := range assignments {
		t.Assignment = append(t.Assignment, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: replicas})
	}
	return t
}

// Semantics line 90.
func TestCreatePartitions(t *testing.T) {
	c := newCluster(t)
	k := c.dial()
	partitions := func(name string) (n int) {
		c.Read(func(s *state.State) { n = s.Topic(name).Partitions() })
		return n
	}
	for version := int16(0); version <= 3; version++ {
		name := "v" + string('0'+rune(version))
		c.topic(name, 2)
		for _, x := range []struct {
			count int32
			code  int16
			then  int
		}{{2, 37, 2}, {1, 37, 2}, {0, 37, 2}, {-1, 37, 2}, {state.MaxTopicPartitions + 1, 44, 2}, {5, 0, 5}, {5, 37, 5}} {
			r := k.ask(grow(version, growTo(name, x.count))).(*kmsg.CreatePartitionsResponse)
			require.Len(t, r.Topics, 1)
			require.Equal(t, x.code, r.Topics[0].ErrorCode, "count %d", x.count)
			require.Equal(t, x.code == 0, r.Topics[0].ErrorMessage == nil)
			require.Equal(t, x.then, partitions(name))
		}
	}
	for _, name := range []string{"a", "b", "dry", "one", "none", "many", "few", "twice", "nobody", "dup"} {
		c.topic(name, 1)
	}
	empty := growTo("none", 2)
	empty.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{} // not null
	got := k.ask(grow(3, growTo("a", 3), growTo("nope", 3), growTo("b", 2), growTo("one", 3, []int32{0}, []int32{0}), empty,
		growTo("few", 3, []int32{0}), growTo("many", 2, []int32{0}, []int32{0}), growTo("twice", 2, []int32{0, 0}), growTo("nobody", 2, []int32{9}),
		growTo("dup", 2), growTo("dup", 3))).(*kmsg.CreatePartitionsResponse)
	codes := map[string]int16{}
	for _, e := range got.Topics {
		codes[e.Topic] = e.ErrorCode
	}
	require.Len(t, got.Topics, 10, "one entry per name")
	require.Equal(t, map[string]int16{"a": 0, "nope": 3, "b": 0, "one": 0, "none": 39, "few": 39, "many": 39, "twice": 39, "nobody": 39, "dup": 42}, codes)
	require.Equal(t, []int{3, 2, 3, 1}, []int{partitions("a"), partitions("b"), partitions("one"), partitions("dup")})

	dry := grow(3, growTo("dry", 4), growTo("a", 3))
	dry.ValidateOnly = true
	r := k.ask(dry).(*kmsg.CreatePartitionsResponse)
	require.Equal(t, []int16{0, 37}, []int16{r.Topics[0].ErrorCode, r.Topics[1].ErrorCode})
	require.Equal(t, 1, partitions("dry"))

	c.set(func() { c.proposeErr = ErrOutcomeUnknown })
	require.Equal(t, kerr.RequestTimedOut.Code, k.ask(grow(3, growTo("dry", 4))).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
	c.set(func() { c.barrierErr = ErrMetadataUnavailable })
	require.Equal(t, kerr.RequestTimedOut.Code, k.ask(grow(3, growTo("a", 1))).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode,
		"without a barrier nobody is told how many there are")
}

// meddler is another agent, whose command lands before each of the first proposals.
type meddler struct {
	*cluster
	commands []*pb.Command
	asked    int
	landed   uint64
}

func (m *meddler) Propose(ctx context.Context, commands []*pb.Command) []Outcome {
	m.asked++
	if len(m.commands) > 0 {
		m.set(func() {
			m.position++
			m.landed++
			e := state.Entry{Position: m.position, Session: 99, Seq: m.landed, Body: &pb.Entry{}}
			if m.landed == 1 {
				e.Body.Commands = append(e.Body.Commands, &pb.Command{Kind: &pb.Command_OpenSession{
					OpenSession: &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}}})
			}
			m.commands[0].Base = m.position
			e.Body.Commands = append(e.Body.Commands, m.commands[0])
			for _, r := range m.st.Apply(e).Commands {
				require.Equal(m.t, state.OK, r.Code)
			}
			m.commands = m.commands[1:]
		})
	}
	return m.cluster.Propose(ctx, commands)
}

func meddling(t *testing.T, c *cluster, commands ...*pb.Command) (*API, *meddler) {
	m := &meddler{cluster: c, commands: commands}
	return New(Deps{View: c, Members: c, Proposer: m, Ingest: c, Log: c}), m
}

func growCommand(topic uint64, count uint32) *pb.Command {
	return &pb.Command{Kind: &pb.Command_CreatePartitions{CreatePartitions: &pb.CreatePartitions{Topic: topic, Count: count}}}
}

// What another agent does at the same time is not undone: the request is judged again, on what is there then.
func TestGrowthIsJudgedAgain(t *testing.T) {
	for name, x := range map[string]struct {
		meanwhile []*pb.Command
		err       error
		then      int
	}{
		"less than wanted": {[]*pb.Command{growCommand(1, 2), growCommand(1, 3)}, nil, 5},
		"as wanted":        {[]*pb.Command{growCommand(1, 5)}, kerr.InvalidPartitions, 5},
		"more than wanted": {[]*pb.Command{growCommand(1, 7)}, kerr.InvalidPartitions, 7},
		"deleted": {[]*pb.Command{{Kind: &pb.Command_DeleteTopic{DeleteTopic: &pb.DeleteTopic{Topic: 1}}}},
			ErrUnknownTopic, 0},
		"all the time": {[]*pb.Command{growCommand(1, 2), growCommand(1, 3), growCommand(1, 4), growCommand(1, 5), growCommand(1, 6),
			growCommand(1, 7), growCommand(1, 8)}, ErrTimeout, 7},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.topic("t", 1)
			a, _ := meddling(t, c, x.meanwhile...)
			count := int32(5)
			if name == "all the time" {
				count = 100
			}
			topics := []growth{{in: &kmsg.CreatePartitionsRequestTopic{Topic: "t", Count: count}}}
			a.grow(t.Context(), topics, false)
			require.ErrorIs(t, topics[0].err, x.err)
			c.Read(func(s *state.State) {
				if x.then == 0 {
					require.Nil(t, s.Topic("t"))
				} else {
					require.Equal(t, x.then, s.Topic("t").Partitions())
				}
			})
		})
	}
}
