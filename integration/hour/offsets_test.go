package hour

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"wadi/agent/group"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// everything is coordinated here.
type everything struct{}

func (everything) Mine(string) bool { return true }
func (everything) Many() func(string) bool {
	return func(string) bool { return true }
}
func (everything) Epoch() uint64 { return 1 }

// Semantics line 66: committed offsets outlive the last member of their group by the retention and no longer; those of a
// group that has members stay. Nothing goes while the clock is far from the store's.
func TestOffsetsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a := start(t, ctx)
		topic := a.createTopic(t, ctx)
		do := func(c *pb.Command) {
			t.Helper()
			c.Base = 1 << 60
			code := state.Invalid
			if err := a.session.Do(ctx, c, func(o session.Outcome) { code = o.Result.Code }); err != nil || code != state.OK {
				t.Fatal(code, err)
			}
		}
		commit := func(name, member string, generation int32) {
			t.Helper()
			do(&pb.Command{Kind: &pb.Command_CommitOffsets{CommitOffsets: &pb.CommitOffsets{
				Group: name, Member: member, Generation: generation, Topics: []uint64{topic}, Partitions: []uint32{0}, Offsets: []int64{7},
			}}})
		}
		commit("simple", "", -1)
		do(&pb.Command{Kind: &pb.Command_UpdateGroup{UpdateGroup: &pb.UpdateGroup{
			Group: "alive", Members: []*pb.GroupMember{{Id: "m"}},
			Header: &pb.GroupHeader{Type: 1, State: 2, ProtocolType: "consumer", Leader: "m", Generation: 1},
		}}})
		commit("alive", "m", 1)
		skew := 2 * time.Minute
		x := group.NewExpirer(group.ExpirerOptions{
			View: a.view, Routing: everything{}, Do: a.session.Do, Retention: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
			Date: func(context.Context) (time.Time, error) { return time.Now().Add(skew), nil },
		})
		a.done.Go(func() { _ = x.Run(ctx) }) // always nil
		left := func() (names []string) {
			a.view.Read(func(s *state.State) { s.EachGroup(func(g *state.Group) { names = append(names, g.Name) }) })
			return names
		}
		time.Sleep(9 * time.Minute)
		if n := len(left()); n != 2 {
			t.Fatalf("%d groups before the retention is over", n)
		}
		time.Sleep(3 * time.Minute)
		if n := len(left()); n != 2 {
			t.Fatalf("%d groups by a clock that is wrong", n)
		}
		skew = 0
		time.Sleep(2 * time.Minute)
		if names := left(); len(names) != 1 || names[0] != "alive" {
			t.Fatalf("groups %v after the retention", names)
		}
		a.view.Read(func(s *state.State) {
			if o, ok := s.Group("alive").Offset(topic, 0); !ok || o.Offset != 7 {
				t.Errorf("offset %+v of the group with a member", o)
			}
		})
		cancel()
		a.done.Wait()
		a.kv.Close()
	})
}
