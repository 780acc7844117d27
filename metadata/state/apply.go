package state

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// ErrUndecodable: an entry holds bytes, a field or a command that this code does not know. A view that meets one stops
// applying; it must not skip it.
var ErrUndecodable = errors.New("entry cannot be decoded")

// Entry is a decoded journal entry with its place in the journal.
type Entry struct {
	Position int64
	Session  layout.Session
	Seq      uint64
	Body     *pb.Entry
}

// Decode parses an entry's value. The inline bytes are copied out of value.
func Decode(position int64, session layout.Session, seq uint64, value []byte) (Entry, error) {
	body := &pb.Entry{}
	if err := proto.Unmarshal(value, body); err != nil {
		return Entry{}, fmt.Errorf("entry at position %d: %w: %w", position, ErrUndecodable, err)
	}
	if err := CheckKnown(body.ProtoReflect()); err != nil {
		return Entry{}, fmt.Errorf("entry at position %d: %w", position, err)
	}
	for i, c := range body.Commands {
		if c.GetKind() == nil {
			return Entry{}, fmt.Errorf("entry at position %d: command %d is of no known kind: %w", position, i, ErrUndecodable)
		}
	}
	return Entry{Position: position, Session: session, Seq: seq, Body: body}, nil
}

// CheckKnown refuses a message that carries a field this code does not know, at any depth.
func CheckKnown(m protoreflect.Message) error {
	if len(m.GetUnknown()) > 0 {
		return fmt.Errorf("unknown field in %s: %w", m.Descriptor().Name(), ErrUndecodable)
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.Kind() != protoreflect.MessageKind || !m.Has(f): // columns are not looked at: Range would box each one
		case f.IsList():
			list := m.Get(f).List()
			for k := range list.Len() {
				if err := CheckKnown(list.Get(k).Message()); err != nil {
					return err
				}
			}
		default:
			if err := CheckKnown(m.Get(f).Message()); err != nil {
				return err
			}
		}
	}
	return nil
}

// Results is what an entry did. It is valid until the next Apply.
type Results struct {
	Position int64
	Repeat   bool     // the sequence was judged before: nothing happened
	Refused  Code     // not OK: the whole entry was refused
	Commands []Result // one per command, unless Repeat or Refused
}

// Result is one command's.
type Result struct {
	Code Code
	// ID depends on the command: node id (OpenSession), topic number (CreateTopic, DeleteTopic), partitions before it
	// (CreatePartitions), producer id (InitProducer, EndTxn), position (Mark), topics and partitions waiting (Sweep),
	// object number (ReplaceRuns, FoldRuns, UnfoldRuns), objects that the manifest owns still (ReleaseObjects).
	ID      int64
	Batches []BatchResult // AppendBatches, TrimPartitions, ReplaceRuns: one per batch or partition, in the command's order
	Epoch   int16         // InitProducer, EndTxn: the producer's epoch from now on
	// Touched are the partitions where a transaction ended (InitProducer, EndTxn); Batches has their markers' offsets.
	Touched []PartRef
}

// BatchResult is one batch's, or one partition's of TrimPartitions.
type BatchResult struct {
	Code Code
	Base int64 // base offset, the original one of a Duplicate; the log start of a trimmed partition; the runs that went (ReplaceRuns); -1 when rejected
	Time int64 // Duplicate: Unix milliseconds at which the original was appended; else -1
}

// Position and Digest after the entry are s.Position() and s.Digest().

// Apply applies the next entry. Positions must rise.
func (s *State) Apply(e Entry) *Results {
	if e.Position <= s.position {
		panic(fmt.Sprintf("state: entry at position %d after %d", e.Position, s.position))
	}
	s.position, s.session, s.seq, s.atMs = e.Position, e.Session, e.Seq, e.Body.GetAtMs()
	res := s.resetResults(len(e.Body.GetCommands()))
	repeat, code := s.admit(e.Session, e.Seq, opens(e.Body))
	switch {
	case repeat:
		res.Repeat = true
		s.chain(stepRepeat)
		return res
	case code != OK:
		res.Refused = code
		s.chain(stepRefused)
		return res
	}
	for i, c := range e.Body.GetCommands() {
		res.Commands = res.Commands[:i+1]
		s.applyCommand(c, e.Body.GetInline(), &res.Commands[i])
	}
	s.chain(stepApplied)
	return res
}

// Void passes over the entry at a position without applying it (`wadi journal void`). Positions must rise.
func (s *State) Void(position int64) {
	if position <= s.position {
		panic(fmt.Sprintf("state: void at position %d after %d", position, s.position))
	}
	s.position = position
	s.resetResults(0)
	s.chain(stepVoid)
}

// opens reports whether an entry may be its session's first: InitCluster may stand before OpenSession.
func opens(e *pb.Entry) bool {
	for _, c := range e.GetCommands() {
		switch c.GetKind().(type) {
		case *pb.Command_InitCluster:
		case *pb.Command_OpenSession:
			return true
		default:
			return false
		}
	}
	return false
}

// resetResults makes room for n commands and keeps the batch slices of earlier entries for reuse.
func (s *State) resetResults(n int) *Results {
	r := &s.results
	if cap(r.Commands) < n {
		r.Commands = append(r.Commands[:cap(r.Commands)], make([]Result, n-cap(r.Commands))...)
	}
	all := r.Commands[:cap(r.Commands)]
	for i := range all[:n] {
		all[i] = Result{Batches: all[i].Batches[:0], Touched: all[i].Touched[:0]}
	}
	*r = Results{Position: s.position, Commands: all[:0]}
	return r
}

func (s *State) applyCommand(c *pb.Command, inline []byte, res *Result) {
	if init := c.GetInitCluster(); init != nil {
		res.Code = s.applyInitCluster(init)
		return
	}
	if s.clusterID == "" {
		res.Code = NotInitialized
		return
	}
	if open := c.GetOpenSession(); open != nil {
		res.Code = s.applyOpenSession(open, res)
		return
	}
	if v := s.sessions.get(uint64(s.session)); v == nil || v.Closed != 0 {
		res.Code = SessionNotOpen // its own OpenSession was refused, or an earlier command of this entry closed it
		return
	}
	switch k := c.GetKind().(type) {
	case *pb.Command_AppendBatches:
		res.Code = s.applyAppendBatches(k.AppendBatches, inline, res)
	case *pb.Command_CreateTopic:
		res.Code = s.applyCreateTopic(c.Base, k.CreateTopic, res)
	case *pb.Command_DeleteTopic:
		res.Code = s.applyDeleteTopic(c.Base, k.DeleteTopic, res)
	case *pb.Command_CreatePartitions:
		res.Code = s.applyCreatePartitions(c.Base, k.CreatePartitions, res)
	case *pb.Command_TrimPartitions:
		res.Code = s.applyTrimPartitions(c.Base, k.TrimPartitions, res)
	case *pb.Command_AlterConfigs:
		res.Code = s.applyAlterConfigs(c.Base, k.AlterConfigs, res)
	case *pb.Command_InitProducer:
		res.Code = s.applyInitProducer(c.Base, k.InitProducer, res)
	case *pb.Command_AddToTxn:
		res.Code = s.applyAddToTxn(c.Base, k.AddToTxn)
	case *pb.Command_CommitTxnOffsets:
		res.Code = s.applyCommitTxnOffsets(c.Base, k.CommitTxnOffsets, res)
	case *pb.Command_EndTxn:
		res.Code = s.applyEndTxn(c.Base, k.EndTxn, res)
	case *pb.Command_ExpireTxns:
		res.Code = s.applyExpireTxns(k.ExpireTxns, res)
	case *pb.Command_ExpireProducers:
		res.Code = s.applyExpireProducers(k.ExpireProducers, res)
	case *pb.Command_CloseSession:
		res.Code = s.applyCloseSession(k.CloseSession)
	case *pb.Command_Mark:
		res.Code = s.applyMark(res)
	case *pb.Command_Archived:
		res.Code = s.applyArchived(k.Archived)
	case *pb.Command_UpdateGroup:
		res.Code = s.applyUpdateGroup(k.UpdateGroup)
	case *pb.Command_CommitOffsets:
		res.Code = s.applyCommitOffsets(c.Base, k.CommitOffsets, res)
	case *pb.Command_DeleteGroup:
		res.Code = s.applyDeleteGroup(c.Base, k.DeleteGroup)
	case *pb.Command_DeleteOffsets:
		res.Code = s.applyDeleteOffsets(c.Base, k.DeleteOffsets)
	case *pb.Command_ExpireOffsets:
		res.Code = s.applyExpireOffsets(k.ExpireOffsets, res)
	case *pb.Command_ReplaceRuns:
		res.Code = s.applyReplaceRuns(c.Base, k.ReplaceRuns, res)
	case *pb.Command_FoldRuns:
		res.Code = s.applyFoldRuns(k.FoldRuns, res)
	case *pb.Command_UnfoldRuns:
		res.Code = s.applyUnfoldRuns(k.UnfoldRuns, res)
	case *pb.Command_ReleaseObjects:
		res.Code = s.applyReleaseObjects(k.ReleaseObjects, res)
	case *pb.Command_ForgetObjects:
		res.Code = s.applyForgetObjects(k.ForgetObjects, res)
	case *pb.Command_ForgetSessions:
		res.Code = s.applyForgetSessions(k.ForgetSessions, res)
	case *pb.Command_Sweep:
		res.Code = s.applySweep(k.Sweep, res)
	default:
		res.Code = Invalid // Decode lets no other kind through
	}
}

func (s *State) applyInitCluster(c *pb.InitCluster) Code {
	switch {
	case s.clusterID != "":
		return Stale
	case c.ClusterId == "" || c.Incarnation == 0:
		return Invalid
	case c.FeatureLevel < MinFeatureLevel || c.FeatureLevel > MaxFeatureLevel:
		return FeatureLevel
	}
	s.clusterID, s.incarnation, s.featureLevel = c.ClusterId, c.Incarnation, c.FeatureLevel
	return OK
}
