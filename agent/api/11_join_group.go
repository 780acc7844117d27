package api

// JoinGroup: key 11, versions 0 to 9.

import (
	"bytes"
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
)

// joinGroup parks the request until the generation is State.
func (a *API) joinGroup(_ context.Context, req *server.Request) {
	body := req.Body.(*kmsg.JoinGroupRequest)
	j := &group.Join{
		Group: own(body.Group), Member: own(body.MemberID), Instance: ownPtr(body.InstanceID), ClientID: own(req.ClientID),
		ClientHost: "/" + req.Conn.ClientHost, ProtocolType: own(body.ProtocolType),
		SessionTimeout:    time.Duration(body.SessionTimeoutMillis) * time.Millisecond,
		RebalanceTimeout:  time.Duration(max(0, body.RebalanceTimeoutMillis)) * time.Millisecond,
		NeedsKnownID:      req.Version >= 4,
		CanSkipAssignment: req.Version >= 9,
	}
	if req.Version == 0 {
		j.RebalanceTimeout = j.SessionTimeout
	}
	for _, p := range body.Protocols {
		j.Protocols = append(j.Protocols, group.Protocol{Name: own(p.Name), Metadata: bytes.Clone(p.Metadata)})
	}
	j.Done = func(r group.Joined) {
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.ErrorCode, resp.Generation, resp.MemberID, resp.LeaderID = code(keyJoinGroup, r.Err), r.Generation, r.Member, r.Leader
		resp.SkipAssignment, resp.Members = r.SkipAssignment, []kmsg.JoinGroupResponseMember{}
		if r.Err == nil {
			resp.ProtocolType, resp.Protocol = &r.ProtocolType, &r.Protocol
		} else if req.Version < 7 {
			resp.Protocol = kmsg.StringPtr("") // not nullable yet
		}
		for _, m := range r.Members {
			x := kmsg.NewJoinGroupResponseMember()
			x.MemberID, x.InstanceID, x.ProtocolMetadata = m.ID, nullable(m.Instance), m.Metadata
			resp.Members = append(resp.Members, x)
		}
		req.Reply(resp)
	}
	a.d.Groups.Join(j)
}
