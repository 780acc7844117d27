package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func alterReplicaLogDirsCases() apiCases {
	ask := func(dir, topic string, partitions ...int32) *kmsg.AlterReplicaLogDirsRequest {
		req := kmsg.NewPtrAlterReplicaLogDirsRequest()
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir = dir
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = topic, partitions
		d.Topics = append(d.Topics, t)
		req.Dirs = append(req.Dirs, d)
		return req
	}
	return apiCases{34, func() kmsg.Request { return ask("/nowhere", "not a name!", 0) }, []Case{
		{Name: "directories that nobody has", Run: func(s *Script) {
			t := s.Topic("a", 2)
			s.Ask(ask("/nowhere", t.name, 0, 1, 7))
			s.Ask(ask("/nowhere", s.Unused("x"), 0))
			s.Ask(ask("", t.name, 0))
			s.Ask(ask("relative", t.name, 0))
			s.Ask(ask("/nowhere", t.name))
		}},
		{Name: "nothing", Run: func(s *Script) { s.Ask(kmsg.NewPtrAlterReplicaLogDirsRequest()) }},
	}}
}

func describeLogDirsCases() apiCases {
	ask := func(topic string, partitions ...int32) *kmsg.DescribeLogDirsRequest {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		t := kmsg.NewDescribeLogDirsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	return apiCases{35, func() kmsg.Request { return ask("not a name!", 0) }, []Case{
		{Name: "some partitions", Run: func(s *Script) {
			t := s.Topic("a", 3)
			s.Stored(t, 0, plain("0", "1"))
			s.Ask(ask(t.name, 0, 1))
			s.Ask(ask(t.name, 0, 0, 9, -1))
			s.Ask(ask(t.name))
			s.Ask(ask(s.Unused("x"), 0))
		}},
		{Name: "no topics", Run: func(s *Script) {
			req := ask("")
			req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
			s.Ask(req)
		}},
	}}
}
