package api

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/tenure"
	"wadi/agent/txn"
	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// clusterGroups only says who coordinates a group.
type clusterGroups struct {
	Groups
	c *cluster
}

func (g clusterGroups) Check(name string) error {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	if g.c.elsewhere[name] {
		return group.ErrNotCoordinator
	}
	return nil
}

func (g clusterGroups) Mine() func(string) bool {
	return func(name string) bool { return g.Check(name) == nil }
}

// clusterSession proposes to the cluster's State, in its only session.
type clusterSession struct{ c *cluster }

func (s clusterSession) Alive() bool                            { return true }
func (s clusterSession) Current() (layout.Session, int32, bool) { return ownSession, 0, true }
func (s clusterSession) Propose(p *session.Proposal) {
	s.c.mu.Lock()
	err := s.c.proposeErr
	if s.c.before != nil {
		s.c.before()
	}
	s.c.mu.Unlock()
	if err != nil {
		p.Done(session.Outcome{Err: err})
		return
	}
	r := s.c.apply(nil, p.Command)[0]
	p.Done(session.Outcome{Position: s.c.at(), Result: &r})
}

func (c *cluster) at() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.position
}

// Rank implements txn.Routing.
func (c *cluster) Rank(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.elsewhere[id] {
		return 1
	}
	return 0
}

// Many implements txn.Routing.
func (c *cluster) Many() func(id string) bool { return func(id string) bool { return c.Rank(id) == 0 } }

func newClusterTxns(c *cluster) *txn.Coordinator {
	return txn.New(txn.Options{View: c, Session: clusterSession{c}, Routing: c, Tenure: tenure.New(clusterSession{c})})
}

// producer is a transactional producer that speaks the given version of each API.
type producer struct {
	k     *client
	txn   string
	id    int64
	epoch int16
}

func initTxn(version int16, id string, timeout int32) *kmsg.InitProducerIDRequest {
	r := kmsg.NewPtrInitProducerIDRequest()
	r.SetVersion(version)
	r.TransactionalID, r.TransactionTimeoutMillis = &id, timeout
	return r
}

func (p *producer) init(t *testing.T, version int16) {
	t.Helper()
	r := p.k.ask(initTxn(version, p.txn, 60_000)).(*kmsg.InitProducerIDResponse)
	require.Zero(t, r.ErrorCode)
	p.id, p.epoch = r.ProducerID, r.ProducerEpoch
}

func newTxnProducer(t *testing.T, k *client, id string) *producer {
	t.Helper()
	p := &producer{k: k, txn: id}
	p.init(t, 5)
	return p
}

// add registers partitions of topics in one request and returns the codes, in order.
func (p *producer) add(version int16, partitions map[string][]int32, topics ...string) (codes []int16) {
	r := kmsg.NewPtrAddPartitionsToTxnRequest()
	r.SetVersion(version)
	if version < 4 {
		r.TransactionalID, r.ProducerID, r.ProducerEpoch = p.txn, p.id, p.epoch
		for _, name := range topics {
			r.Topics = append(r.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: partitions[name]})
		}
		for _, t := range p.k.ask(r).(*kmsg.AddPartitionsToTxnResponse).Topics {
			for _, x := range t.Partitions {
				codes = append(codes, x.ErrorCode)
			}
		}
		return codes
	}
	r.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{p.addition(false, partitions, topics...)}
	return codesOf(p.k.ask(r).(*kmsg.AddPartitionsToTxnResponse))
}

func (p *producer) addition(verify bool, partitions map[string][]int32, topics ...string) kmsg.AddPartitionsToTxnRequestTransaction {
	x := kmsg.AddPartitionsToTxnRequestTransaction{TransactionalID: p.txn, ProducerID: p.id, ProducerEpoch: p.epoch, VerifyOnly: verify}
	for _, name := range topics {
		x.Topics = append(x.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: name, Partitions: partitions[name]})
	}
	return x
}

func codesOf(r *kmsg.AddPartitionsToTxnResponse) (codes []int16) {
	for _, x := range r.Transactions {
		for _, t := range x.Topics {
			for _, p := range t.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	}
	return codes
}

func (p *producer) addGroup(version int16, name string) int16 {
	r := kmsg.NewPtrAddOffsetsToTxnRequest()
	r.SetVersion(version)
	r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Group = p.txn, p.id, p.epoch, name
	return p.k.ask(r).(*kmsg.AddOffsetsToTxnResponse).ErrorCode
}

func (p *producer) end(version int16, commit bool) *kmsg.EndTxnResponse {
	r := kmsg.NewPtrEndTxnRequest()
	r.SetVersion(version)
	r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit = p.txn, p.id, p.epoch, commit
	return p.k.ask(r).(*kmsg.EndTxnResponse)
}

func (c *cluster) txnStatus(id string) (status state.TxnStatus, epoch int16) {
	c.Read(func(s *state.State) { status, epoch = s.Txn(id).Status, s.Txn(id).Epoch })
	return status, epoch
}

// Semantics lines 69, 72, 73: what a transactional id is refused for, and the epochs that it gets.
func TestInitTransactions(t *testing.T) {
	c := newClusterWith(t, Config{MaxTxnTimeoutMs: 1000})
	k := c.dial()
	ask := func(r *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
		return k.ask(r).(*kmsg.InitProducerIDResponse)
	}
	for version := int16(0); version <= 5; version++ {
		id := fmt.Sprintf("t%d", version)
		require.Equal(t, kerr.InvalidRequest.Code, ask(initTxn(version, "", 1000)).ErrorCode)
		for _, timeout := range []int32{0, -1, 1001} {
			got := ask(initTxn(version, id, timeout))
			require.Equal(t, kerr.InvalidTransactionTimeout.Code, got.ErrorCode)
			require.Equal(t, [2]int64{-1, -1}, [2]int64{got.ProducerID, int64(got.ProducerEpoch)})
		}
		first := ask(initTxn(version, id, 1000))
		require.Zero(t, first.ErrorCode)
		require.Zero(t, first.ProducerEpoch)
		second := ask(initTxn(version, id, 1000))
		require.Equal(t, [2]int64{first.ProducerID, 1}, [2]int64{second.ProducerID, int64(second.ProducerEpoch)})
		if version < 3 {
			continue
		}
		resume := initTxn(version, id, 1000)
		resume.ProducerID, resume.ProducerEpoch = first.ProducerID, 1
		for range 2 { // it goes on, and when the answer was lost it is told again
			got := ask(resume)
			require.Equal(t, [2]int64{0, 2}, [2]int64{int64(got.ErrorCode), int64(got.ProducerEpoch)})
		}
		resume.ProducerEpoch = 0
		want := kerr.ProducerFenced.Code
		if version < 4 {
			want = kerr.InvalidProducerEpoch.Code
		}
		require.Equal(t, want, ask(resume).ErrorCode)
		resume.ProducerEpoch = -1
		require.Equal(t, kerr.InvalidRequest.Code, ask(resume).ErrorCode)
	}
	c.set(func() { c.elsewhere = map[string]bool{"other": true} })
	require.Equal(t, kerr.NotCoordinator.Code, ask(initTxn(5, "other", 1000)).ErrorCode)
}

// Semantics line 74.
func TestAddPartitionsToTxn(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 2)
	c.topic("b", 1)
	k := c.dial()
	for version := int16(0); version <= 5; version++ {
		p := newTxnProducer(t, k, fmt.Sprintf("t%d", version))
		fenced := kerr.ProducerFenced.Code
		if version < 2 {
			fenced = kerr.InvalidProducerEpoch.Code
		}
		require.Equal(t, []int16{55, 3, 55}, p.add(version, map[string][]int32{"a": {0, 2}, "b": {0}}, "a", "b"))
		require.Equal(t, []int16{3, 55}, p.add(version, map[string][]int32{"none": {0}, "b": {0}}, "none", "b"))
		status, _ := c.txnStatus(p.txn)
		require.Equal(t, state.TxnEmpty, status, "nothing was registered")
		require.Equal(t, []int16{0, 0, 0}, p.add(version, map[string][]int32{"a": {0, 1}, "b": {0}}, "a", "b"))
		require.Equal(t, []int16{0}, p.add(version, map[string][]int32{"a": {1}}, "a"), "again")
		status, _ = c.txnStatus(p.txn)
		require.Equal(t, state.TxnOngoing, status)

		other := *p
		other.epoch++
		require.Equal(t, []int16{fenced}, other.add(version, map[string][]int32{"a": {0}}, "a"))
		other.epoch, other.id = p.epoch, p.id+1000
		require.Equal(t, []int16{49}, other.add(version, map[string][]int32{"a": {0}}, "a"))
		other.txn, other.id = "unheard-of", p.id
		require.Equal(t, []int16{49}, other.add(version, map[string][]int32{"a": {0}}, "a"))
		other.txn = ""
		require.Equal(t, []int16{42}, other.add(version, map[string][]int32{"a": {0}}, "a"))
	}
}

// KIP-890: several transactions at once, each with an answer of its own, and the question whether a partition is in.
func TestAddPartitionsInBatches(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 2)
	k := c.dial()
	p, q := newTxnProducer(t, k, "p"), newTxnProducer(t, k, "q")
	for version := int16(4); version <= 5; version++ {
		r := kmsg.NewPtrAddPartitionsToTxnRequest()
		r.SetVersion(version)
		r.Transactions = append(r.Transactions,
			p.addition(false, map[string][]int32{"a": {0}}, "a"), q.addition(false, map[string][]int32{"a": {0, 7}}, "a"))
		require.Equal(t, []int16{0, 55, 3}, codesOf(k.ask(r).(*kmsg.AddPartitionsToTxnResponse)))
		stale := *p
		stale.epoch--
		r.Transactions = []kmsg.AddPartitionsToTxnRequestTransaction{
			p.addition(true, map[string][]int32{"a": {0, 1}}, "a"), q.addition(true, map[string][]int32{"a": {0}}, "a"),
			stale.addition(true, map[string][]int32{"a": {0}}, "a"),
		}
		require.Equal(t, []int16{0, 120, 120, 90}, codesOf(k.ask(r).(*kmsg.AddPartitionsToTxnResponse)))
	}
	status, _ := c.txnStatus("q")
	require.Equal(t, state.TxnEmpty, status, "a question opens nothing")
}

// Semantics lines 76, 77: how a transaction ends for clients that keep their epoch.
func TestEndTxnOfOldClients(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	for version := int16(0); version <= 4; version++ {
		p := newTxnProducer(t, k, fmt.Sprintf("t%d", version))
		require.Equal(t, int16(48), p.end(version, true).ErrorCode, "nothing has begun")
		for _, commit := range []bool{true, false} {
			require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
			require.Zero(t, p.end(version, commit).ErrorCode)
			require.Zero(t, p.end(version, commit).ErrorCode, "the same again")
			require.Equal(t, int16(48), p.end(version, !commit).ErrorCode)
		}
		stale := *p
		stale.epoch--
		want := kerr.ProducerFenced.Code
		if version < 2 {
			want = kerr.InvalidProducerEpoch.Code
		}
		require.Equal(t, want, stale.end(version, true).ErrorCode)
		stale.txn = ""
		require.Equal(t, kerr.InvalidRequest.Code, stale.end(version, true).ErrorCode)
	}
}

// Semantics line 78: every end gives the next epoch, and tells it again to who has not heard.
func TestEndTxnGivesTheNextEpoch(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	p := newTxnProducer(t, c.dial(), "t")
	for _, commit := range []bool{true, false} {
		require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
		for range 2 {
			got := p.end(5, commit)
			require.Equal(t, [3]int64{0, p.id, int64(p.epoch) + 1}, [3]int64{int64(got.ErrorCode), got.ProducerID, int64(got.ProducerEpoch)})
		}
		bad := p.end(5, !commit)
		require.Equal(t, [3]int64{48, -1, -1}, [3]int64{int64(bad.ErrorCode), bad.ProducerID, int64(bad.ProducerEpoch)})
		p.epoch++
	}
	require.Equal(t, int16(48), p.end(5, true).ErrorCode, "there is nothing to commit")
	require.Equal(t, p.epoch+1, p.end(5, false).ProducerEpoch, "an empty abort")
}

// Another instance ends what was open, and the first one is shut out (Semantics lines 70, 73).
func TestSecondInstanceFences(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	q := newTxnProducer(t, k, "t")
	require.Greater(t, q.epoch, p.epoch)
	require.Equal(t, p.id, q.id)
	require.Equal(t, kerr.ProducerFenced.Code, p.end(5, true).ErrorCode)
	require.Equal(t, kerr.ProducerFenced.Code, p.end(4, true).ErrorCode)
	require.Equal(t, kerr.InvalidProducerEpoch.Code, p.end(1, true).ErrorCode)
	require.Equal(t, []int16{90}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	require.Equal(t, kerr.ProducerFenced.Code, p.addGroup(4, "g"))
	require.Equal(t, kerr.InvalidProducerEpoch.Code, p.addGroup(1, "g"))
}

// What lands late is judged again behind the change that it met, while its client waits; nothing of the other is undone.
func TestJudgedAgainBehindAnotherAgent(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	c.set(func() {
		c.before = func() {
			c.before = nil
			c.applyFrom(9, &pb.Command{Base: c.position, Kind: &pb.Command_EndTxn{EndTxn: &pb.EndTxn{
				ProducerId: p.id, ProducerEpoch: int32(p.epoch), Commit: true,
			}}})
		}
	})
	require.Zero(t, p.end(4, true).ErrorCode, "the same end, by another coordinator")
	require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	c.set(func() {
		c.before = func() {
			c.before = nil
			c.applyFrom(9, &pb.Command{Base: c.position, Kind: &pb.Command_InitProducer{InitProducer: &pb.InitProducer{
				TransactionalId: "t", TimeoutMs: 1000,
			}}})
		}
	})
	require.Equal(t, kerr.ProducerFenced.Code, p.end(4, true).ErrorCode)
	status, _ := c.txnStatus("t")
	require.Equal(t, state.TxnEmpty, status)
}

// What may have happened is never called refused: clients ask the coordinator again.
func TestUnknownOutcomesOfTransactions(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	require.Equal(t, []int16{0}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	for err, want := range map[error]int16{session.ErrUnknown: 15, session.ErrNotProposed: 15, session.ErrBusy: 15} {
		c.set(func() { c.proposeErr = err })
		require.Equal(t, want, p.end(5, true).ErrorCode, "%v", err)
		require.Equal(t, []int16{want}, p.add(3, map[string][]int32{"a": {0}}, "a"))
		require.Equal(t, want, p.addGroup(4, "g"))
		require.Equal(t, want, k.ask(initTxn(5, "t", 1000)).(*kmsg.InitProducerIDResponse).ErrorCode)
		require.Equal(t, []int16{want}, p.commitOffsets(5, "g", -1, "", positionOf("a", 0, 1, "")))
	}
	c.set(func() { c.proposeErr = nil; c.elsewhere = map[string]bool{"t": true} })
	require.Equal(t, kerr.NotCoordinator.Code, p.end(5, true).ErrorCode)
	require.Equal(t, []int16{16}, p.add(3, map[string][]int32{"a": {0}}, "a"))
	require.Equal(t, kerr.NotCoordinator.Code, p.addGroup(4, "g"))
	c.set(func() { c.elsewhere = nil; c.barrierErr = ErrViewBehind })
	stranger := producer{k: k, txn: "new", id: 1 << 40}
	require.Equal(t, kerr.CoordinatorLoadInProgress.Code, stranger.end(5, true).ErrorCode, "it may be known by now")
}

// applyFrom applies a command of another agent's session. c.mu is held.
func (c *cluster) applyFrom(id layout.Session, command *pb.Command) {
	c.t.Helper()
	commands := []*pb.Command{command}
	if _, open := c.st.Session(id); !open {
		opening := &pb.OpenSession{MinFeatureLevel: 1, MaxFeatureLevel: 1}
		commands = []*pb.Command{{Kind: &pb.Command_OpenSession{OpenSession: opening}}, command}
	}
	for _, k := range commands {
		v, _ := c.st.Session(id)
		c.position++
		r := c.st.Apply(state.Entry{Position: c.position, Session: id, Seq: v.LastSeq + 1, Body: &pb.Entry{AtMs: 1, Commands: []*pb.Command{k}}})
		require.Equal(c.t, state.OK, r.Refused)
		require.Equal(c.t, state.OK, r.Commands[0].Code)
	}
}

// An agent that has not seen a transaction begin cannot tell its end from a late request, where clients keep their epoch. It
// does nothing then, and has seen it when the client asks again.
func TestEndOfWhatBeganElsewhere(t *testing.T) {
	c := newCluster(t)
	c.topic("a", 1)
	k := c.dial()
	p := newTxnProducer(t, k, "t")
	begin := &pb.AddToTxn{ProducerId: p.id, ProducerEpoch: int32(p.epoch), Groups: []string{"g"}}
	beganElsewhere := func() {
		c.set(func() {
			c.before = func() {
				c.before = nil
				c.applyFrom(9, &pb.Command{Base: c.position, Kind: &pb.Command_AddToTxn{AddToTxn: begin}})
			}
		})
	}
	for version := int16(0); version <= 4; version++ {
		beganElsewhere()
		require.Equal(t, []int16{16}, p.commitOffsets(version, "g", -1, "", positionOf("a", 0, 3, "")))
		require.Equal(t, []int16{0}, p.commitOffsets(version, "g", -1, "", positionOf("a", 0, 3, "")))
		require.Zero(t, p.end(version, true).ErrorCode)
		require.Equal(t, int64(3), c.committed("g", "a"))
		beganElsewhere()
		require.Equal(t, kerr.CoordinatorNotAvailable.Code, p.end(version, true).ErrorCode)
		status, _ := c.txnStatus("t")
		require.Equal(t, state.TxnOngoing, status)
		require.Zero(t, p.end(version, true).ErrorCode)
	}
}
