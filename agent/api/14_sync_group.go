package api

// SyncGroup: key 14, versions 0 to 5.

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
)

// syncGroup parks the request until the leader's assignment is State. What the leader assigned is passed through
// untouched, whatever its assignor (Regression R9).
func (a *API) syncGroup(_ context.Context, req *server.Request) {
	body := req.Body.(*kmsg.SyncGroupRequest)
	s := &group.Sync{
		Group: own(body.Group), Member: own(body.MemberID), Instance: ownPtr(body.InstanceID), Generation: body.Generation,
		ProtocolType: body.ProtocolType, Protocol: body.Protocol, Assignments: make(map[string][]byte, len(body.GroupAssignment)),
	}
	for _, x := range body.GroupAssignment {
		s.Assignments[own(x.MemberID)] = bytes.Clone(x.MemberAssignment)
	}
	if req.Version >= 5 && (s.ProtocolType == nil || s.Protocol == nil) {
		// Versions that can name them must, as in Kafka: no group has a protocol without a name.
		s.ProtocolType, s.Protocol = new(string), new(string)
	}
	s.Done = func(r group.Synced) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode, resp.MemberAssignment = code(keySyncGroup, r.Err), r.Assignment
		if resp.MemberAssignment == nil {
			resp.MemberAssignment = []byte{}
		}
		if r.Err == nil {
			resp.ProtocolType, resp.Protocol = &r.ProtocolType, &r.Protocol
		}
		req.Reply(resp)
	}
	a.d.Groups.Sync(s)
}
