package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func joinGroupCases() apiCases {
	join := func(s *Script, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
		resp, _ := s.Ask(req).(*kmsg.JoinGroupResponse)
		if resp == nil {
			return &kmsg.JoinGroupResponse{}
		}
		return resp
	}
	return apiCases{11, func() kmsg.Request { return joinGroup("", "", nil, "range") }, []Case{
		{Name: "first member", Run: func(s *Script) {
			g := s.Group("g")
			first := join(s, joinGroup(g, "", nil, "range", "roundrobin"))
			if first.ErrorCode != 0 {
				first = join(s, joinGroup(g, first.MemberID, nil, "range", "roundrobin"))
			}
			// It joins again: as the leader, it starts a rebalance of one.
			join(s, joinGroup(g, first.MemberID, nil, "range", "roundrobin"))
		}},
		{Name: "unknown members", Run: func(s *Script) {
			g := s.Group("g")
			join(s, joinGroup(g, "no member", nil, "range"))
			s.member(g)
			join(s, joinGroup(g, "no member", nil, "range"))
		}},
		{Name: "protocols", Run: func(s *Script) {
			g := s.Group("g")
			join(s, joinGroup(g, "", nil))
			none := joinGroup(g, "", nil, "range")
			none.ProtocolType = ""
			join(s, none)
			s.member(g)
			join(s, joinGroup(g, "", nil, "other"))
			other := joinGroup(g, "", nil, "range")
			other.ProtocolType = "connect"
			join(s, other)
		}},
		{Name: "timeouts", Run: func(s *Script) {
			for _, ms := range []int32{0, -1, 5999, 1800001, 2147483647} {
				req := joinGroup(s.Group("g"), "", nil, "range")
				req.SessionTimeoutMillis = ms
				join(s, req)
			}
		}},
		{Name: "empty group", Run: func(s *Script) { join(s, joinGroup("", "", nil, "range")) }},
		{Name: "static members", From: 5, Run: func(s *Script) {
			g := s.Group("g")
			first := join(s, joinGroup(g, "", kmsg.StringPtr("i"), "range"))
			s.AskAs(3, syncInstance(g, first.MemberID, first.Generation, "i"))
			join(s, joinGroup(g, "", kmsg.StringPtr("i"), "range"))
			for _, instance := range []string{"", ".", "a b", strings.Repeat("x", 250)} {
				join(s, joinGroup(s.Group("other"+slug(instance[:min(3, len(instance))])), "", &instance, "range"))
				s.hangUp() // who was taken in waits for nobody
			}
		}},
	}}
}

func syncInstance(group, member string, generation int32, instance string) *kmsg.SyncGroupRequest {
	req := syncGroup(group, member, generation, member)
	req.InstanceID = &instance
	return req
}

func syncGroupCases() apiCases {
	return apiCases{14, func() kmsg.Request { return syncGroup("nobody", "no member", 5) }, []Case{
		{Name: "assignments", Run: func(s *Script) {
			g := s.Group("g")
			id, generation := s.member(g)
			s.Ask(syncGroup(g, id, generation, id))
			s.Ask(syncGroup(g, id, generation))
			s.Ask(syncGroup(g, id, generation+1, id))
			s.Ask(syncGroup(g, id, generation-1, id))
			s.Ask(syncGroup(g, id, -1, id))
			s.Ask(syncGroup(g, "no member", generation))
			s.Ask(syncGroup(g, "", generation))
			s.Ask(syncGroup(s.Unused("nobody"), id, generation))
			s.Ask(syncGroup("", id, generation))
		}},
		{Name: "other protocols", From: 5, Run: func(s *Script) {
			g := s.Group("g")
			id, generation := s.member(g)
			for _, p := range [][2]string{{"consumer", "other"}, {"other", "range"}} {
				req := syncGroup(g, id, generation)
				req.ProtocolType, req.Protocol = &p[0], &p[1]
				s.Ask(req)
			}
			req := syncGroup(g, id, generation)
			req.ProtocolType, req.Protocol = nil, nil
			s.Ask(req)
		}},
		{Name: "for others than members", Run: func(s *Script) {
			g := s.Group("g")
			first := s.Do(5, joinGroup(g, "", nil, "range")).(*kmsg.JoinGroupResponse)
			again := s.Do(5, joinGroup(g, first.MemberID, nil, "range")).(*kmsg.JoinGroupResponse)
			s.Ask(syncGroup(g, again.MemberID, again.Generation, "no member"))
		}},
	}}
}

func heartbeatCases() apiCases {
	ask := func(group, member string, generation int32) *kmsg.HeartbeatRequest {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = group, member, generation
		return req
	}
	return apiCases{12, func() kmsg.Request { return ask("nobody", "no member", 5) }, []Case{
		{Name: "heartbeats", Run: func(s *Script) {
			g := s.Group("g")
			s.Ask(ask(g, "no member", 1))
			id, generation := s.member(g)
			for _, n := range []int32{generation, generation - 1, generation + 1, -1} {
				s.Ask(ask(g, id, n))
				s.Ask(ask(g, "no member", n))
				s.Ask(ask(g, "", n))
			}
			s.Ask(ask("", id, generation))
			s.leave(g, id)
			s.Ask(ask(g, id, generation))
		}},
		{Name: "before the assignment", Run: func(s *Script) {
			g := s.Group("g")
			first := s.Do(5, joinGroup(g, "", nil, "range")).(*kmsg.JoinGroupResponse)
			s.Ask(ask(g, first.MemberID, 0))
			again := s.Do(5, joinGroup(g, first.MemberID, nil, "range")).(*kmsg.JoinGroupResponse)
			s.Ask(ask(g, again.MemberID, again.Generation))
		}},
		{Name: "instance ids", From: 3, Run: func(s *Script) {
			g := s.Group("g")
			first := s.Do(5, joinGroup(g, "", kmsg.StringPtr("i"), "range")).(*kmsg.JoinGroupResponse)
			s.Do(3, syncInstance(g, first.MemberID, first.Generation, "i"))
			for _, instance := range []string{"i", "j"} {
				for _, member := range []string{first.MemberID, "no member", ""} {
					req := ask(g, member, first.Generation)
					req.InstanceID = &instance
					s.Ask(req)
				}
			}
		}},
	}}
}

func leaveGroupCases() apiCases {
	ask := func(group string, members ...string) *kmsg.LeaveGroupRequest {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = group
		for _, id := range members {
			in := kmsg.NewLeaveGroupRequestMember()
			in.MemberID = id
			req.Members = append(req.Members, in)
			req.MemberID = id
		}
		return req
	}
	return apiCases{13, func() kmsg.Request { return ask("nobody", "no member") }, []Case{
		{Name: "leave", Run: func(s *Script) {
			g := s.Group("g")
			s.Ask(ask(g, "no member"))
			id, _ := s.member(g)
			s.Ask(ask(g, "no member"))
			s.Ask(ask(g, ""))
			s.Ask(ask("", id))
			s.Ask(ask(g, id))
			s.Ask(ask(g, id))
		}},
		{Name: "several", From: 3, Run: func(s *Script) {
			g := s.Group("g")
			id, _ := s.member(g)
			s.Ask(ask(g))
			s.Ask(ask(g, id, "no member", id))
		}},
		{Name: "instance ids", From: 3, Run: func(s *Script) {
			g := s.Group("g")
			first := s.Do(5, joinGroup(g, "", kmsg.StringPtr("i"), "range")).(*kmsg.JoinGroupResponse)
			s.Do(3, syncInstance(g, first.MemberID, first.Generation, "i"))
			for _, instance := range []string{"j", "i"} {
				req := ask(g, "no member")
				req.Members[0].InstanceID = &instance
				s.Ask(req)
			}
			req := ask(g, "")
			req.Members[0].InstanceID = kmsg.StringPtr("i")
			s.Ask(req)
		}},
	}}
}
