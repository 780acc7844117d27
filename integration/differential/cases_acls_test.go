package differential

import "github.com/twmb/franz-go/pkg/kmsg"

// Neither broker has an authorizer.

func describeAclsCases() apiCases {
	ask := func() *kmsg.DescribeACLsRequest {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
		req.Operation, req.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
		return req
	}
	return apiCases{29, func() kmsg.Request { return ask() }, []Case{
		{Name: "all", Run: func(s *Script) { s.Ask(ask()) }},
		{Name: "unknown kinds", Run: func(s *Script) {
			req := ask()
			req.ResourceType = 99
			s.Ask(req)
			req = ask()
			req.Operation = 0
			s.Ask(req)
		}},
	}}
}

func createAclsCases() apiCases {
	ask := func(n int) *kmsg.CreateACLsRequest {
		req := kmsg.NewPtrCreateACLsRequest()
		for range n {
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourceName, c.ResourcePatternType = kmsg.ACLResourceTypeTopic, "t", kmsg.ACLResourcePatternTypeLiteral
			c.Principal, c.Host = "User:a", "*"
			c.Operation, c.PermissionType = kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
			req.Creations = append(req.Creations, c)
		}
		return req
	}
	return apiCases{30, func() kmsg.Request { return ask(1) }, []Case{
		{Name: "one, two, none", Run: func(s *Script) {
			s.Ask(ask(1))
			s.Ask(ask(2))
			s.Ask(ask(0))
		}},
	}}
}

func deleteAclsCases() apiCases {
	ask := func(n int) *kmsg.DeleteACLsRequest {
		req := kmsg.NewPtrDeleteACLsRequest()
		for range n {
			f := kmsg.NewDeleteACLsRequestFilter()
			f.ResourceType, f.ResourcePatternType = kmsg.ACLResourceTypeAny, kmsg.ACLResourcePatternTypeAny
			f.Operation, f.PermissionType = kmsg.ACLOperationAny, kmsg.ACLPermissionTypeAny
			req.Filters = append(req.Filters, f)
		}
		return req
	}
	return apiCases{31, func() kmsg.Request { return ask(1) }, []Case{
		{Name: "one, two, none", Run: func(s *Script) {
			s.Ask(ask(1))
			s.Ask(ask(2))
			s.Ask(ask(0))
		}},
	}}
}

func describeClientQuotasCases() apiCases {
	ask := func(kind string, match kmsg.QuotasMatchType, name *string) *kmsg.DescribeClientQuotasRequest {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType, c.Match = kind, match, name
		req.Components = append(req.Components, c)
		return req
	}
	return apiCases{48, func() kmsg.Request { return ask("user", 0, kmsg.StringPtr("a")) }, []Case{
		{Name: "none are set", Run: func(s *Script) {
			s.Ask(ask("user", 0, kmsg.StringPtr("a")))
			s.Ask(ask("client-id", 1, nil))
			s.Ask(ask("ip", 2, nil))
			s.Ask(kmsg.NewPtrDescribeClientQuotasRequest())
		}},
		{Name: "bad components", Run: func(s *Script) {
			s.Ask(ask("nobody", 0, kmsg.StringPtr("a")))
			s.Ask(ask("", 0, kmsg.StringPtr("a")))
			s.Ask(ask("user", 9, nil))
			s.Ask(ask("user", 0, nil))
			s.Ask(ask("user", 1, kmsg.StringPtr("a")))
			twice := ask("user", 2, nil)
			twice.Components = append(twice.Components, twice.Components...)
			s.Ask(twice)
			both := ask("user", 2, nil)
			both.Components = append(both.Components, ask("ip", 2, nil).Components...)
			s.Ask(both)
		}},
	}}
}

func describeUserScramCredentialsCases() apiCases {
	ask := func(names ...string) *kmsg.DescribeUserSCRAMCredentialsRequest {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, name := range names {
			u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
			u.Name = name
			req.Users = append(req.Users, u)
		}
		return req
	}
	return apiCases{50, func() kmsg.Request { return ask("a") }, []Case{
		{Name: "none are set", Run: func(s *Script) {
			s.Ask(ask())
			s.Ask(ask("a"))
			s.Ask(ask("a", "b"))
			s.Ask(ask("a", "a"))
			s.Ask(ask(""))
		}},
	}}
}
