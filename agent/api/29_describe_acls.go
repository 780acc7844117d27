package api

// DescribeAcls: key 29, versions 1 to 3.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// describeAcls refuses: without an authorizer there is nothing to describe, and an empty list would say that nobody may
// do anything.
func (a *API) describeAcls(context.Context, *server.Request) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeACLsResponse()
	err := refuse(kerr.SecurityDisabled, "No Authorizer is configured on the broker")
	resp.ErrorCode, resp.ErrorMessage = code(keyDescribeAcls, err), message(err)
	return resp, nil
}
