package api

// DescribeAcls: key 29, versions 1 to 3.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// errNoAuthorizer is what Apache Kafka without an authorizer says to everything about access rules.
var errNoAuthorizer = refuse(kerr.SecurityDisabled, "No Authorizer is configured.")

// describeAcls refuses: without an authorizer there is nothing to describe, and an empty list would say that nobody may
// do anything.
func (a *API) describeAcls(context.Context, *server.Request) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = code(keyDescribeAcls, errNoAuthorizer), message(errNoAuthorizer)
	return resp, nil
}
