package api

// FindCoordinator: key 10, versions 0 to 6.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// findCoordinator names the agent that everything of a group or transactional id should go to. All agents name the
// same one, from the same members (Semantics line 64).
func (a *API) findCoordinator(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.FindCoordinatorRequest)
	resp := kmsg.NewPtrFindCoordinatorResponse()
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	if req.Version < 4 {
		c := locate(req.Version, body.CoordinatorType, body.CoordinatorKey, brokers)
		resp.ErrorCode, resp.ErrorMessage = c.ErrorCode, c.ErrorMessage
		resp.NodeID, resp.Host, resp.Port = c.NodeID, c.Host, c.Port
		return resp, nil
	}
	resp.Coordinators = make([]kmsg.FindCoordinatorResponseCoordinator, len(body.CoordinatorKeys))
	for i, key := range body.CoordinatorKeys {
		resp.Coordinators[i] = locate(req.Version, body.CoordinatorType, key, brokers)
	}
	return resp, nil
}

func locate(version int16, kind int8, key string, brokers []Broker) kmsg.FindCoordinatorResponseCoordinator {
	c := kmsg.NewFindCoordinatorResponseCoordinator()
	c.Key, c.NodeID, c.Port = key, -1, -1
	var err error
	switch b, ok := coordinator(kind, key, brokers); {
	case kind < 0 || kind > 2 || (kind == 2 && version < 6):
		err = refuse(kerr.InvalidRequest, "unknown coordinator type %d", kind)
	case !ok:
		err = refuse(kerr.CoordinatorNotAvailable, "no broker is registered yet")
	default:
		c.NodeID, c.Host, c.Port = b.NodeID, b.Host, b.Port
	}
	c.ErrorCode, c.ErrorMessage = code(keyFindCoordinator, err), message(err)
	return c
}
