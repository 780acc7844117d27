package group

import "time"

// Protocol is one assignment protocol that a member supports, with its words about itself.
type Protocol struct {
	Name     string
	Metadata []byte // owned by the core from now on
}

// Join is a JoinGroup request. Strings and bytes must not alias a frame.
type Join struct {
	Group, Member, Instance string // "" = none
	ClientID, ClientHost    string
	ProtocolType            string
	Protocols               []Protocol // in the member's order of preference
	SessionTimeout          time.Duration
	RebalanceTimeout        time.Duration
	NeedsKnownID            bool         // version 4 and later (KIP-394)
	CanSkipAssignment       bool         // version 9 and later (KIP-814)
	Done                    func(Joined) // called exactly once
}

// Joined answers a Join.
type Joined struct {
	Err            error
	Member         string // its id, with some errors too
	Generation     int32  // -1 with an error
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	Members        []JoinedMember // for the leader alone (Semantics line 57)
}

// JoinedMember is what the leader learns of a member.
type JoinedMember struct {
	ID, Instance string
	Metadata     []byte
}

// Sync is a SyncGroup request.
type Sync struct {
	Group, Member, Instance string
	Generation              int32
	ProtocolType, Protocol  *string // nil = the version does not say
	Assignments             map[string][]byte
	Done                    func(Synced)
}

// Synced answers a Sync.
type Synced struct {
	Err                    error
	ProtocolType, Protocol string
	Assignment             []byte
}

// Heartbeat is a Heartbeat request.
type Heartbeat struct {
	Group, Member, Instance string
	Generation              int32
	Done                    func(error)
}

// Leave is a LeaveGroup request.
type Leave struct {
	Group   string
	Members []Leaver
	// Done gets an error for all of them, or one for each.
	Done func(err error, each []error)
}

// Leaver is one member that leaves, or is removed by its instance id alone.
type Leaver struct{ Member, Instance string }
