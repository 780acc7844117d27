package state

import (
	"slices"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// Session is what State holds of an agent's session.
type Session struct {
	LastSeq         uint64
	LastFlush       uint64 // highest flush number introduced
	LastMerge       uint64 // likewise of merged objects
	NodeID          int32  // Kafka's broker id, held while the session is open
	Opened          int64  // position
	Closed          int64  // position, 0 = open
	MinFeatureLevel uint32
	MaxFeatureLevel uint32
}

// Session finds a session, open or closed.
func (s *State) Session(id layout.Session) (Session, bool) {
	if v := s.sessions.get(uint64(id)); v != nil {
		return *v, true
	}
	return Session{}, false
}

// EachSession visits the sessions, sorted by id.
func (s *State) EachSession(visit func(layout.Session, Session)) {
	for _, id := range sortedKeys(&s.sessions) {
		visit(layout.Session(id), *s.sessions.get(id))
	}
}

// admit checks an entry's session and sequence. A sequence at or below the last is a repeat of what was judged. One
// that skips closes the session: something of it was lost, and nothing that follows can be trusted.
func (s *State) admit(id layout.Session, seq uint64, opens bool) (repeat bool, code Code) {
	v := s.sessions.edit(uint64(id), s.gen)
	switch {
	case v == nil && opens && seq == 1:
		return false, OK
	case v == nil:
		return false, SessionNotOpen
	case seq <= v.LastSeq:
		return true, OK
	case v.Closed != 0:
		return false, SessionNotOpen
	case seq != v.LastSeq+1:
		s.closeSession(v)
		return false, SessionNotOpen
	}
	v.LastSeq = seq
	return false, OK
}

func (s *State) closeSession(v *Session) {
	v.Closed = s.position
	v.NodeID = -1
}

func (s *State) applyOpenSession(c *pb.OpenSession, res *Result) Code {
	switch {
	case s.sessions.get(uint64(s.session)) != nil:
		return Stale
	case c.MinFeatureLevel > s.featureLevel || c.MaxFeatureLevel < s.featureLevel:
		return FeatureLevel
	case !s.credible(c):
		return Invalid
	}
	s.closeUnlisted(c)
	node := s.nodeID(c.NewNodeId, c.Address)
	s.sessions.put(uint64(s.session), Session{
		LastSeq: s.seq, NodeID: node, Opened: s.position,
		MinFeatureLevel: c.MinFeatureLevel, MaxFeatureLevel: c.MaxFeatureLevel,
	}, s.gen)
	res.ID = int64(node)
	return OK
}

// credible reports whether a list of registrations, if there is one, can be what its session read once its own key was put.
func (s *State) credible(c *pb.OpenSession) bool {
	if c.ListedAt == 0 {
		return len(c.Listed) == 0
	}
	for i, id := range c.Listed {
		if i > 0 && id <= c.Listed[i-1] {
			return false
		}
	}
	_, own := slices.BinarySearch(c.Listed, int64(s.session))
	return own && 0 < c.ListedAt && c.ListedAt < s.position
}

// closeUnlisted closes the sessions that were open when the list was made and had no key any more. A key is put before its
// session opens, and never comes back: what such a session still sends fails its compare, and what it sent before its key
// went lies before the list. Nobody waits for a janitor then, who may be the very agent that is restarted, and an agent
// that comes back to its address finds its node id free.
func (s *State) closeUnlisted(c *pb.OpenSession) {
	if c.ListedAt == 0 {
		return
	}
	var gone []uint64
	s.sessions.each(func(id uint64, v *Session) {
		if _, listed := slices.BinarySearch(c.Listed, int64(id)); !listed && v.Closed == 0 && v.Opened <= c.ListedAt {
			gone = append(gone, id)
		}
	})
	for _, id := range gone {
		s.closeSession(s.sessions.edit(id, s.gen))
	}
}

// nodeIDs is how many node ids there are before they begin again at 0. Java clients count coordinators down from 2^31-1.
const nodeIDs = 1 << 30

// maxAddresses bounds how many addresses State remembers the node id of.
const maxAddresses = 1000

// nodeAt says which node id was last given to an address.
type nodeAt struct {
	address string
	id      int32
}

// nodeID goes upwards for new ids. One is given again to the address that had it, as an agent that is restarted is still
// the same to clients that keep connections by id, and else after all others only. A client may take a closed session's id for
// its address until it asks for metadata, and what it reaches there may be the agent's next process, under another id.
// Were the old id then given to an agent elsewhere, a client that keeps connections by id would keep that one, and send to
// the wrong agent whatever is meant for the other.
func (s *State) nodeID(fresh bool, address string) int32 {
	held := map[int32]bool{}
	s.sessions.each(func(_ uint64, v *Session) {
		if v.Closed == 0 {
			held[v.NodeID] = true
		}
	})
	node := int32(0)
	if fresh {
		node = s.nextNodeID
	}
	at := slices.IndexFunc(s.nodes, func(n nodeAt) bool { return n.address == address })
	if fresh && at >= 0 && !held[s.nodes[at].id] {
		node = s.nodes[at].id
		s.rememberNode(at, nodeAt{address, node})
		return node
	}
	for held[node] {
		node = (node + 1) % nodeIDs
	}
	if fresh {
		s.nextNodeID = (node + 1) % nodeIDs
	}
	if fresh && address != "" {
		s.rememberNode(at, nodeAt{address, node})
	}
	return node
}

// rememberNode makes n the newest, in the place of the one at an index, -1 = none.
func (s *State) rememberNode(at int, n nodeAt) {
	list := make([]nodeAt, 0, len(s.nodes)+1) // a snapshot may hold the old one
	for i, x := range s.nodes {
		if i != at && (i > 0 || at >= 0 || len(s.nodes) < maxAddresses) {
			list = append(list, x)
		}
	}
	s.nodes = append(list, n)
}

func (s *State) applyCloseSession(c *pb.CloseSession) Code {
	v := s.sessions.get(uint64(c.Session))
	if v == nil || v.Closed != 0 {
		return Stale
	}
	s.closeSession(s.sessions.edit(uint64(c.Session), s.gen))
	return OK
}
