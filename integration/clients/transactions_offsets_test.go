package clients

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// input makes a topic with some values in its one partition.
func (s *stage) input(t *testing.T, values ...string) string {
	t.Helper()
	topic := s.topic(t, 1)
	for _, value := range values {
		if err := s.cl.ProduceSync(s.ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return topic
}

// hasCommitted is what a group has, for who asks for what is stable and for who does not.
func (s *stage) hasCommitted(t *testing.T, group, topic string, want int64) {
	t.Helper()
	for _, stable := range []bool{false, true} {
		s.b.shows(s.ctx, t, fmt.Sprintf("committed offset %d (stable: %v)", want, stable), func() (bool, string) {
			got, err := s.committed(t, group, topic, stable)
			return got == want && err == nil, fmt.Sprint(got, err)
		})
	}
}

// offsets: what a transaction commits for a group is not there before the transaction's commit, never there after an
// abort, and where the next member goes on (Semantics line 83).
func (s *stage) offsets(t *testing.T, protocol string) {
	in, out, group := s.input(t, "v0", "v1", "v2", "v3", "v4", "v5"), s.topic(t, 2), s.name("group")
	x := s.producer(t, "offsets", time.Minute)
	x.do("subscribe", group, in, protocol)
	var committed []placed
	// transform takes two records to the output and leaves the transaction open.
	transform := func(x *transactor, want ...string) []placed {
		t.Helper()
		if got := x.do("poll", fmt.Sprint(len(want))).Values; !slices.Equal(got, want) {
			t.Errorf("polled %q, want %q", got, want)
		}
		x.do("begin")
		records := append(x.send(out, 0, want[0]+"!"), x.send(out, 1, want[1]+"!")...)
		x.do("offsets")
		return records
	}
	committed = append(committed, transform(x, "v0", "v1")...)
	if got, err := s.committed(t, group, in, false); got != -1 || err != nil {
		t.Errorf("committed offset in the transaction is %d, %v, want -1", got, err)
	}
	if _, err := s.committed(t, group, in, true); !errors.Is(err, kerr.UnstableOffsetCommit) {
		t.Errorf("stable offset in the transaction: %v, want %v", err, kerr.UnstableOffsetCommit)
	}
	x.do("commit")
	s.hasCommitted(t, group, in, 2)

	transform(x, "v2", "v3")
	x.do("abort")
	s.hasCommitted(t, group, in, 2)
	x.do("rewind")
	committed = append(committed, transform(x, "v2", "v3")...)
	x.do("commit")
	s.hasCommitted(t, group, in, 4)
	x.do("leave")

	successor := s.producer(t, "offsets", time.Minute)
	successor.do("subscribe", group, in, protocol)
	committed = append(committed, transform(successor, "v4", "v5")...)
	successor.do("commit")
	s.hasCommitted(t, group, in, 6)
	successor.do("leave")
	s.reads(t, "read_committed", out, committed)
}

// expelled: the offsets of a member that its group has removed are refused, and its transaction can only be aborted
// (KIP-447): another member may have read the same records already.
func (s *stage) expelled(t *testing.T) {
	in, out, group := s.input(t, "v0"), s.topic(t, 1), s.name("group")
	x := s.producer(t, "expelled", time.Minute)
	x.do("subscribe", group, in, "classic")
	x.do("poll", "1")
	x.do("begin")
	x.send(out, 0, "v0!")
	described, err := s.admin.DescribeGroups(s.ctx, group)
	if err != nil || len(described[group].Members) != 1 {
		t.Fatal(described, err)
	}
	member := kmsg.NewLeaveGroupRequestMember()
	member.MemberID = described[group].Members[0].MemberID
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.Members = group, []kmsg.LeaveGroupRequestMember{member}
	left, err := leave.RequestWith(s.ctx, s.cl)
	if err == nil {
		err = errors.Join(kerr.ErrorForCode(left.ErrorCode), kerr.ErrorForCode(left.Members[0].ErrorCode))
	}
	if err != nil {
		t.Fatal(err)
	}
	x.fails(s.client.shown().expelled, "offsets")
	x.do("abort")
	s.hasCommitted(t, group, in, -1)
	s.reads(t, "read_committed", out, nil)
}
