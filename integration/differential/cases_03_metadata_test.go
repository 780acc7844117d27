package differential

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataCases() apiCases {
	byID := func(id [16]byte, name *string) *kmsg.MetadataRequest {
		req := metadata()
		in := kmsg.NewMetadataRequestTopic()
		in.TopicID, in.Topic = id, name
		req.Topics = append(req.Topics, in)
		return req
	}
	return apiCases{3, func() kmsg.Request { return metadata("not a name!") }, []Case{
		{Name: "all of an empty cluster", Alone: true, Run: func(s *Script) {
			s.Ask(kmsg.NewPtrMetadataRequest())
			s.Ask(metadata())
		}},
		{Name: "known topics", Run: func(s *Script) {
			a, b := s.Topic("a", 3), s.Topic("b", 1)
			s.Ask(metadata(a.name, b.name))
			s.Ask(metadata(b.name, b.name, a.name))
		}},
		{Name: "unknown topics", Run: func(s *Script) {
			a := s.Topic("a", 1)
			if s.Version >= 4 {
				s.Ask(metadata(s.Unused("x"), a.name, s.Unused("y")))
			} else {
				s.Ask(metadata(a.name))
			}
		}},
		{Name: "bad names", Run: func(s *Script) {
			long := s.Unused("long")
			s.Ask(metadata("", ".", "..", "a b", "a/b", "ä", "x\x00", long+strings.Repeat("l", 250-len(long))))
		}},
		{Name: "auto create", Run: func(s *Script) {
			req := metadata(s.Unused("a"))
			req.AllowAutoTopicCreation = true
			s.Until(func() bool {
				t := s.Do(s.Version, req).(*kmsg.MetadataResponse).Topics[0]
				if t.ErrorCode == 0 {
					s.names.id(t.TopicID, "a")
				}
				return t.ErrorCode == 0
			})
			s.Ask(req)
			internal := metadata("__cluster_metadata")
			internal.AllowAutoTopicCreation = true
			s.Ask(internal)
		}},
		{Name: "auto create with bad names", From: 4, Run: func(s *Script) {
			req := metadata("a b", "", "..")
			req.AllowAutoTopicCreation = true
			s.Ask(req)
		}},
		{Name: "operations", From: 8, Run: func(s *Script) {
			req := metadata(s.Topic("a", 1).name, s.Unused("x"))
			req.IncludeTopicAuthorizedOperations = true
			req.IncludeClusterAuthorizedOperations = true
			s.Ask(req)
		}},
		{Name: "ids", From: 10, Run: func(s *Script) {
			a := s.Topic("a", 2)
			s.Ask(byID(a.id, nil))
			s.Ask(byID(unknownID(1), nil))
			s.Ask(byID(a.id, &a.name))
			other := s.Topic("b", 1)
			s.Ask(byID(a.id, &other.name))
			twice := byID(a.id, nil)
			twice.Topics = append(twice.Topics, twice.Topics[0])
			s.Ask(twice)
			mixed := byID(a.id, nil)
			mixed.Topics = append(mixed.Topics, metadata(other.name).Topics...)
			s.Ask(mixed)
		}},
		{Name: "neither name nor id", From: 10, Run: func(s *Script) { s.Ask(byID([16]byte{}, nil)) }},
	}}
}
