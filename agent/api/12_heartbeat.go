package api

// Heartbeat: key 12, versions 0 to 4.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
)

// heartbeat writes nothing: whether members are alive is between them and their coordinator.
func (a *API) heartbeat(_ context.Context, req *server.Request) {
	body := req.Body.(*kmsg.HeartbeatRequest)
	a.d.Groups.Heartbeat(&group.Heartbeat{
		Group: own(body.Group), Member: body.MemberID, Instance: ownPtr(body.InstanceID), Generation: body.Generation,
		Done: func(err error) {
			resp := kmsg.NewPtrHeartbeatResponse()
			resp.ErrorCode = code(keyHeartbeat, err)
			req.Reply(resp)
		},
	})
}
