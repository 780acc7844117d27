package api

// DescribeUserScramCredentials: key 50, versions 0 to 0.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// describeUserScramCredentials finds none, as none can be set. Without names it is asked for all users (KIP-554).
func (a *API) describeUserScramCredentials(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	resp.ErrorMessage = kmsg.StringPtr("")
	times := make(map[string]int, len(body.Users))
	for i := range body.Users {
		times[body.Users[i].Name]++
	}
	for i := range body.Users {
		name := body.Users[i].Name
		var err error
		switch times[name] {
		case 0:
			continue // answered already
		case 1:
			err = refuse(kerr.ResourceNotFound, "Attempt to describe a user credential that does not exist: %s", name)
		default:
			err = refuse(kerr.DuplicateResource, "Cannot describe SCRAM credentials for the same user twice in a single request: %s", name)
		}
		times[name] = 0
		out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		out.User = name
		out.ErrorCode, out.ErrorMessage = code(keyDescribeUserScramCredentials, err), message(err)
		resp.Results = append(resp.Results, out)
	}
	return resp, nil
}
