package api

// DescribeGroups: key 15, versions 0 to 6.

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// groupOperations are Kafka's bits for what may be done with a group: everything, without an authorizer.
const groupOperations = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11

// describeGroups tells of classic groups. One that does not exist is Dead, which is an error from version 6 on
// (Semantics line 65).
func (a *API) describeGroups(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeGroupsRequest)
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(body.Groups))
	stale := a.barrier(ctx)
	for i, name := range body.Groups {
		out := &resp.Groups[i]
		out.Default()
		out.Group, out.Members = name, []kmsg.DescribeGroupsResponseGroupMember{}
		err := a.d.Groups.Check(name)
		if err == nil {
			err = stale
		}
		if err == nil {
			err = a.describeGroup(name, out)
		}
		if err != nil && out.State == "Dead" && req.Version < 6 {
			err = nil
		}
		out.ErrorCode = code(keyDescribeGroups, err)
		if out.State == "Dead" {
			out.ErrorMessage = message(err)
		}
		if body.IncludeAuthorizedOperations && out.ErrorCode == 0 {
			out.AuthorizedOperations = groupOperations
		}
	}
	return resp, nil
}

func (a *API) describeGroup(name string, out *kmsg.DescribeGroupsResponseGroup) error {
	d := a.d.Groups.Describe(name)
	if d == nil {
		out.State = "Dead"
		return refuse(kerr.GroupIDNotFound, "%s", fmt.Sprintf("Group %s not found.", name))
	}
	out.State, out.ProtocolType, out.Protocol = d.State, d.ProtocolType, d.Protocol
	for _, m := range d.Members {
		x := kmsg.NewDescribeGroupsResponseGroupMember()
		x.MemberID, x.InstanceID, x.ClientID, x.ClientHost = m.ID, nullable(m.Instance), m.ClientID, m.ClientHost
		x.ProtocolMetadata, x.MemberAssignment = orEmpty(m.Metadata), orEmpty(m.Assignment)
		out.Members = append(out.Members, x)
	}
	return nil
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
