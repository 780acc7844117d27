package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func findCoordinatorCases() apiCases {
	ask := func(kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType, req.CoordinatorKeys = kind, keys
		if len(keys) > 0 {
			req.CoordinatorKey = keys[0]
		}
		return req
	}
	// found asks until the broker has its internal topics, which Apache Kafka creates at the first question.
	found := func(s *Script, req *kmsg.FindCoordinatorRequest) {
		s.Until(func() bool {
			resp := s.Do(s.Version, req).(*kmsg.FindCoordinatorResponse)
			code := resp.ErrorCode
			for _, c := range resp.Coordinators {
				code = max(code, c.ErrorCode)
			}
			return code != 15 // COORDINATOR_NOT_AVAILABLE
		})
		s.Ask(req)
	}
	return apiCases{10, func() kmsg.Request { return ask(9, "g") }, []Case{
		{Name: "groups", Run: func(s *Script) {
			found(s, ask(0, "g"))
			found(s, ask(0, "another group"))
			found(s, ask(0, "ä/\x01"))
		}},
		{Name: "empty group", Run: func(s *Script) { found(s, ask(0, "")) }},
		{Name: "several groups", From: 4, Run: func(s *Script) {
			found(s, ask(0, "a", "b", "c"))
			found(s, ask(0, "a", "a"))
			s.Ask(ask(0))
		}},
		{Name: "transactional ids", From: 1, Run: func(s *Script) {
			found(s, ask(1, "t"))
			found(s, ask(1, ""))
		}},
		{Name: "share groups", From: 1, Run: func(s *Script) {
			s.Ask(ask(2, "g"))
			s.Ask(ask(2, "g:AAAAAAAAAAAAAAAAAAAAAQ:0"))
		}},
		{Name: "kinds that nobody has", From: 1, Run: func(s *Script) {
			for _, kind := range []int8{3, 9, -1, 127, -128} {
				s.Ask(ask(kind, "g"))
			}
		}},
	}}
}
