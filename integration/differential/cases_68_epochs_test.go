package differential

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is a member of a consumer group whose heartbeats are not compared: epochs and partitions that it has are each broker's
// own. What is compared is what it may commit (KIP-1251).
type peer struct {
	s         *Script
	group, id string
	instance  *string
	topic     topic
	epoch     int32
	owned     []int32 // what it says that it works on
	told      []int32 // what it is to work on
}

func (p *peer) beat() {
	req := consumerGroupJoin(p.group, p.id, p.topic.name)
	req.InstanceID, req.MemberEpoch = p.instance, p.epoch
	if len(p.owned) > 0 {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{TopicID: p.topic.id, Partitions: p.owned}}
	}
	resp := p.s.Do(0, req).(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp.ErrorCode != 0 {
		p.s.fail("heartbeat of %s under %d: error %d", p.id, p.epoch, resp.ErrorCode)
	}
	p.epoch, p.told = resp.MemberEpoch, nil
	if resp.Assignment != nil {
		for _, t := range resp.Assignment.Topics {
			p.told = append(p.told, t.Partitions...)
		}
	}
	slices.Sort(p.told)
}

// until sends heartbeats, and takes what it is told, until it is past an epoch with so many partitions.
func (p *peer) until(past int32, partitions int) {
	p.s.Until(func() bool {
		p.beat()
		p.owned = p.told
		return p.epoch > past && len(p.owned) == partitions
	})
}

// leave ends the membership, or, with -2, lets it rest.
func (p *peer) leave(epoch int32) {
	req := consumerGroupHeartbeat(p.group, p.id, epoch)
	req.InstanceID = p.instance
	p.s.Do(0, req)
}

// spot is a partition in a commit.
type spot struct {
	topic     topic
	partition int32
}

func spotsOf(t topic, partitions ...int32) (list []spot) {
	for _, p := range partitions {
		list = append(list, spot{t, p})
	}
	return list
}

// committing sends a commit, of a group's member under an epoch, and returns the codes of its partitions.
type committing func(group, member string, epoch int32, offset int64, parts []spot) []int16

// plainly commits by OffsetCommit.
func plainly(s *Script, version int16) committing {
	return func(group, member string, epoch int32, offset int64, parts []spot) (codes []int16) {
		req := offsetCommit(group, member, epoch, topic{})
		req.Topics = nil
		for _, p := range parts {
			req.Topics = append(req.Topics, offsetCommit(group, member, epoch, p.topic, place{p.partition, offset}).Topics...)
		}
		for _, t := range s.exchange(version, req).(*kmsg.OffsetCommitResponse).Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
		return codes
	}
}

// inTransaction commits by TxnOffsetCommit.
func inTransaction(s *Script, w *writer, version int16) committing {
	return func(group, member string, epoch int32, offset int64, parts []spot) (codes []int16) {
		req := txnOffsetCommit(w, group, topic{})
		req.MemberID, req.Generation, req.Topics = member, epoch, nil
		for _, p := range parts {
			req.Topics = append(req.Topics, txnOffsetCommit(w, group, p.topic, place{p.partition, offset}).Topics...)
		}
		for _, t := range s.exchange(version, req).(*kmsg.TxnOffsetCommitResponse).Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
		return codes
	}
}

func codeName(code int16) string {
	if code == 0 {
		return "taken"
	}
	return kerr.TypedErrorForCode(code).Message
}

// epochsCase lets members come and go and commits under all epochs that there were, and one more. end makes what was taken
// seen. KIP-1251: a member may commit under an epoch before its own what was assigned to it by then and is not given up.
func epochsCase(s *Script, commit committing, g string, end func()) {
	t, u := s.Topic("a", 4), s.Topic("b", 1)
	offset := int64(0)
	var epochs []int32 // of the member, one after the other
	ask := func(label string, p *peer, epoch int32, parts ...spot) {
		offset++
		var said []string
		for _, code := range commit(g, p.id, epoch, offset, parts) {
			said = append(said, codeName(code))
		}
		s.Note(label, strings.Join(said, ", "))
	}
	under := func(what string, p *peer, parts ...spot) {
		for i, epoch := range epochs {
			ask(fmt.Sprintf("%s, under epoch %d of %d", what, i+1, len(epochs)), p, epoch, parts...)
		}
		ask(what+", before the first", p, epochs[0]-1, parts...)
		ask(what+", one to come", p, p.epoch+1, parts...)
		ask(what+", under none", p, -1, parts...)
	}

	a := &peer{s: s, group: g, id: memberID, topic: t}
	a.until(0, 4)
	epochs = append(epochs, a.epoch)
	c := &peer{s: s, group: g, id: "CCCCCCCCCCCCCCCCCCCCCC", topic: u}
	c.until(a.epoch, 1)
	a.until(a.epoch, 4)
	epochs = append(epochs, a.epoch)
	under("kept", a, spotsOf(t, 0, 3)...)
	under("another's", a, spot{u, 0})
	ask("nobody's", a, epochs[0], spot{topic{s.Unused("x"), unknownID(1)}, 0}, spot{t, 0})
	ask("nobody's, and another's", a, epochs[0], spot{topic{s.Unused("x"), unknownID(1)}, 0}, spot{u, 0})

	b := &peer{s: s, group: g, id: otherID, topic: t}
	b.until(a.epoch, 0)
	s.Until(func() bool { a.beat(); return len(a.told) == 2 })
	keeps, gives := a.told, slices.DeleteFunc(slices.Clone(a.owned), func(p int32) bool { return slices.Contains(a.told, p) })
	under("to give up", a, spotsOf(t, gives...)...)
	under("to keep and to give up", a, spotsOf(t, keeps[0], gives[0])...)
	ask("the other's to come", b, a.epoch, spotsOf(t, gives...)...)

	a.until(a.epoch, 2)
	b.until(0, 2)
	epochs = append(epochs, a.epoch)
	under("given up", a, spotsOf(t, gives...)...)
	under("kept again", a, spotsOf(t, keeps...)...)
	under("kept and given up", a, append(spotsOf(t, keeps...), spot{t, gives[1]})...)
	under("the other's own", b, spotsOf(t, gives...)...)

	b.leave(-1)
	a.until(a.epoch, 4)
	epochs = append(epochs, a.epoch)
	under("back", a, spotsOf(t, gives...)...)
	under("kept and back", a, spotsOf(t, keeps[1], gives[1])...)
	ask("of a member that is gone", b, epochs[2], spotsOf(t, gives...)...)
	end()

	fetch := s.Do(7, offsetFetch(g, t, 0, 1, 2, 3)).(*kmsg.OffsetFetchResponse)
	for _, p := range slices.Concat(keeps, gives) {
		s.Note("offset", fmt.Sprint(fetch.Topics[0].Partitions[p].Offset))
	}
}

// restingCase is about static members that leave for a while, and their successors.
func restingCase(s *Script, commit committing, g string, _ func()) {
	t := s.Topic("a", 2)
	ask := func(label string, p *peer, epoch int32, partitions ...int32) {
		s.Note(label, fmt.Sprint(commit(g, p.id, epoch, 1, spotsOf(t, partitions...))))
	}
	a := &peer{s: s, group: g, id: memberID, instance: kmsg.StringPtr("i"), topic: t}
	a.until(0, 2)
	c := &peer{s: s, group: g, id: "CCCCCCCCCCCCCCCCCCCCCC", topic: s.Topic("b", 1)}
	c.until(a.epoch, 1)
	first := a.epoch
	a.until(a.epoch, 2)
	a.leave(-2)
	for i, epoch := range []int32{first, a.epoch, -2, -1, 0} {
		ask(fmt.Sprint("resting ", i), a, epoch, 0, 1)
	}
	b := &peer{s: s, group: g, id: otherID, instance: a.instance, topic: t}
	b.until(0, 2)
	for i, epoch := range []int32{b.epoch, b.epoch - 1, first, 0, -1, b.epoch + 1} {
		ask(fmt.Sprint("its successor ", i), b, epoch, 0, 1)
		ask(fmt.Sprint("late ", i), a, epoch, 0, 1)
	}
}

// mixedEpochsCase is about a member of the classic protocol in a consumer group: generations are its epochs.
func mixedEpochsCase(s *Script, commit committing, g string, _ func()) {
	t := s.Topic("a", 2)
	old, fresh := &consumer{s: s, group: g, topic: t}, &peer{s: s, group: g, id: memberID, topic: t}
	aside := func(f func()) { // what it hears is not compared here
		n := len(s.said)
		f()
		s.said = s.said[:n]
	}
	aside(func() { old.oldJoin(); old.oldSync(0, 1) })
	first := old.epoch
	fresh.until(first, 0)
	s.Until(func() bool { // it gives up the second one
		aside(func() { old.oldJoin(0, 1); old.oldSync(); old.oldJoin(0); old.oldSync() })
		return old.epoch > first
	})
	fresh.until(first, 1)
	given := fresh.owned[0]
	for i, epoch := range []int32{old.epoch, first, first - 1, old.epoch + 1, -1} {
		s.Note(fmt.Sprint("kept ", i), fmt.Sprint(commit(g, old.id, epoch, 1, spotsOf(t, 1-given))))
		s.Note(fmt.Sprint("given up ", i), fmt.Sprint(commit(g, old.id, epoch, 1, spotsOf(t, given))))
		s.Note(fmt.Sprint("both ", i), fmt.Sprint(commit(g, old.id, epoch, 1, spotsOf(t, 0, 1))))
	}
}

// epochCases are the commits of members of several epochs. They stand with the members' own, as most of their time is Apache
// Kafka's between one assignment and the next.
func epochCases() (list []Case) {
	add := func(name string, version int16, run func(s *Script, commit committing, g string, end func())) {
		list = append(list, Case{Name: fmt.Sprintf("OffsetCommit v%d, %s", version, name), From: 1, Run: func(s *Script) {
			run(s, plainly(s, version), s.Group("g"), func() {})
		}})
	}
	addTxn := func(name string, version int16, run func(s *Script, commit committing, g string, end func())) {
		list = append(list, Case{Name: fmt.Sprintf("TxnOffsetCommit v%d, %s", version, name), From: 1, Run: func(s *Script) {
			g, w := s.Group("g"), s.Writer("x")
			end := func() { s.EndedTV2(w, true) }
			if version < offsetsTV2 {
				s.finally(3, addOffsets(w, g))
				end = func() { s.Ended(w, true) }
			}
			run(s, inTransaction(s, w, version), g, end)
		}})
	}
	add("epochs of before", 9, epochsCase)
	add("epochs of before", 10, epochsCase)
	add("static members", 10, restingCase)
	add("generations in a consumer group", 8, mixedEpochsCase)
	add("generations in a consumer group", 10, mixedEpochsCase)
	addTxn("epochs of before", 3, epochsCase)
	addTxn("epochs of before", 5, epochsCase)
	addTxn("static members", 5, restingCase)
	addTxn("generations in a consumer group", 5, mixedEpochsCase)
	return list
}
