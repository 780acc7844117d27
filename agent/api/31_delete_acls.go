package api

// DeleteAcls: key 31, versions 1 to 3.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// deleteAcls refuses every filter, as createAcls does every creation.
func (a *API) deleteAcls(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DeleteACLsRequest)
	resp := kmsg.NewPtrDeleteACLsResponse()
	resp.Results = make([]kmsg.DeleteACLsResponseResult, len(body.Filters))
	for i := range resp.Results {
		resp.Results[i].ErrorCode = code(keyDeleteAcls, errNoAuthorizer)
		resp.Results[i].ErrorMessage = message(errNoAuthorizer)
	}
	return resp, nil
}
