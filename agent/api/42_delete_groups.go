package api

// DeleteGroups: key 42, versions 0 to 2.

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group"
	"wadi/agent/server"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// deleteGroups forgets groups without members, and their offsets.
func (a *API) deleteGroups(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DeleteGroupsRequest)
	resp := kmsg.NewPtrDeleteGroupsResponse()
	ctx, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	for i, name := range body.Groups {
		if slices.Contains(body.Groups[:i], name) {
			continue // named twice, answered once, as in Kafka
		}
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group = name
		out.ErrorCode = code(keyDeleteGroups, a.deleteGroup(ctx, own(name)))
		resp.Groups = append(resp.Groups, out)
	}
	return resp, nil
}

func (a *API) deleteGroup(ctx context.Context, name string) error {
	if err := a.atCoordinator(ctx, name); err != nil {
		return err
	}
	if d := a.d.Groups.Describe(name); d != nil && d.State != "Empty" {
		return group.ErrNotEmpty // members are joining: State does not know of them yet
	}
	return a.onGroup(ctx, func(*state.State) (*pb.Command, error) {
		return &pb.Command{Kind: &pb.Command_DeleteGroup{DeleteGroup: &pb.DeleteGroup{Group: name}}}, nil
	})
}

// groupAttempts bounds how often a command that came too late is judged anew.
const groupAttempts = 4

// onGroup proposes what command makes of State. A command that another session's change overtook did nothing; it is made
// and judged again by what is there now.
func (a *API) onGroup(ctx context.Context, command func(*state.State) (*pb.Command, error)) (err error) {
	for range groupAttempts {
		var c *pb.Command
		a.d.View.Read(func(s *state.State) {
			if c, err = command(s); err == nil && c != nil {
				c.Base = s.Position()
			}
		})
		if err != nil || c == nil {
			return err
		}
		o := a.d.Proposer.Propose(ctx, []*pb.Command{c})[0]
		if o.Err != nil {
			return o.Err
		}
		if err = group.Verdict(o.Result.Code); err == nil || !errors.Is(err, group.ErrNotCoordinator) {
			return err
		}
	}
	return err
}
