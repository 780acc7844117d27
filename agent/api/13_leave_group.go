package api

// LeaveGroup: key 13, versions 0 to 5.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
)

// leaveGroup takes one member out up to version 2, and a batch of them, each with its own answer, from version 3 on.
func (a *API) leaveGroup(_ context.Context, req *server.Request) {
	body := req.Body.(*kmsg.LeaveGroupRequest)
	l := &group.Leave{Group: own(body.Group)}
	if req.Version < 3 {
		l.Members = []group.Leaver{{Member: own(body.MemberID)}}
	}
	for _, m := range body.Members {
		l.Members = append(l.Members, group.Leaver{Member: own(m.MemberID), Instance: ownPtr(m.InstanceID)})
	}
	l.Done = func(err error, each []error) {
		resp := kmsg.NewPtrLeaveGroupResponse()
		resp.ErrorCode = code(keyLeaveGroup, err)
		for i, m := range l.Members {
			if err != nil {
				break
			}
			if req.Version < 3 {
				resp.ErrorCode = code(keyLeaveGroup, each[i])
				break
			}
			x := kmsg.NewLeaveGroupResponseMember()
			x.MemberID, x.InstanceID, x.ErrorCode = m.Member, nullable(m.Instance), code(keyLeaveGroup, each[i])
			resp.Members = append(resp.Members, x)
		}
		req.Reply(resp)
	}
	a.d.Groups.Leave(l)
}
