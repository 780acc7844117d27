package api

// CreateAcls: key 30, versions 1 to 3.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// errNoAuthorizer is what Apache Kafka without an authorizer says to whoever changes access rules.
var errNoAuthorizer = refuse(kerr.SecurityDisabled, "No Authorizer is configured.")

// createAcls refuses every creation: a rule that nobody enforces must not look as if it were kept.
func (a *API) createAcls(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.CreateACLsRequest)
	resp := kmsg.NewPtrCreateACLsResponse()
	resp.Results = make([]kmsg.CreateACLsResponseResult, len(body.Creations))
	for i := range resp.Results {
		resp.Results[i].ErrorCode = code(keyCreateAcls, errNoAuthorizer)
		resp.Results[i].ErrorMessage = message(errNoAuthorizer)
	}
	return resp, nil
}
