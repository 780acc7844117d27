package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func apiVersionsCases() apiCases {
	ask := func(name, version string) *kmsg.ApiVersionsRequest {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
		return req
	}
	return apiCases{18, func() kmsg.Request { return ask("frames", "1.0") }, []Case{
		{Name: "what is served", Run: func(s *Script) { s.Ask(ask("differential", "1.0")) }},
		{Name: "software names", From: 3, Run: func(s *Script) {
			for _, name := range []string{"", "-x", "x-", "a b", "a/b", "ä", "x.", "a..b", "a--b", "A.b-9", "a_b"} {
				s.code(ask(name, "1"))
				s.code(ask("name", name))
			}
		}},
		{Name: "newer than any broker", From: newest(18), Run: func(s *Script) {
			// KIP-511: the answer is one of version 0, and the connection goes on.
			for _, version := range []int16{99, 32767, -1} {
				s.hangUp()
				f := frame(ask("frames", "1.0"), 4)
				f[2], f[3] = byte(uint16(version)>>8), byte(version)
				s.Answer(fmt.Sprintf("v%d", version), f, kmsg.NewPtrApiVersionsRequest())
				s.Answer(fmt.Sprintf("v%d without a body", version), f[:4], kmsg.NewPtrApiVersionsRequest())
			}
		}},
		{Name: "twice on a connection", Run: func(s *Script) {
			s.code(ask("a", "1"))
			s.code(ask("b", "2"))
		}},
	}}
}

// code records only whether an answer is an error: what is served is compared once.
func (s *Script) code(req *kmsg.ApiVersionsRequest) {
	label := fmt.Sprintf("%q %q", req.ClientSoftwareName, req.ClientSoftwareVersion)
	if resp, ok := s.exchange(s.Version, req).(*kmsg.ApiVersionsResponse); ok {
		s.Note(label, fmt.Sprintf("error %d, APIs: %t", resp.ErrorCode, len(resp.ApiKeys) > 0))
	} else {
		s.Note(label, "closed")
	}
}
