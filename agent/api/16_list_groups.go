package api

// ListGroups: key 16, versions 0 to 5.

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/group/consumer"
	"wadi/agent/server"
	"wadi/metadata/state"
)

// listStep is how many groups are looked at while State is held.
const listStep = 1000

// listGroups lists the groups that this agent coordinates: clients ask every broker and add up. Filters by state
// (version 4) and type (version 5) do not mind case.
func (a *API) listGroups(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.ListGroupsRequest)
	resp := kmsg.NewPtrListGroupsResponse()
	resp.Groups = []kmsg.ListGroupsResponseGroup{}
	if err := a.barrier(ctx); err != nil {
		resp.ErrorCode = code(keyListGroups, err)
		return resp, nil
	}
	type listed struct {
		kmsg.ListGroupsResponseGroup
		state state.GroupState
	}
	for next, first := uint64(0), true; first || next != 0; first = false {
		var step []listed
		a.d.View.Read(func(s *state.State) {
			next = s.SomeGroups(next, listStep, func(g *state.Group) {
				x := listed{state: g.State}
				x.Group, x.ProtocolType, x.GroupType = g.Name, g.ProtocolType, stateOf(g.Type)
				if g.Type == state.ConsumerGroup {
					x.GroupState = consumer.Phase(g.Generation, g.AssignmentEpoch, g.Members())
				}
				step = append(step, x)
			})
		})
		mine := a.d.Groups.Mine()
		for _, x := range step {
			if !mine(x.Group) {
				continue
			}
			if x.GroupState == "" {
				x.GroupState = a.d.Groups.State(x.Group, x.state)
			}
			if passes(body.StatesFilter, x.GroupState) && passes(body.TypesFilter, x.GroupType) {
				resp.Groups = append(resp.Groups, x.ListGroupsResponseGroup)
			}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return resp, nil
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}
