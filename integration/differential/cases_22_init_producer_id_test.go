package differential

import "github.com/twmb/franz-go/pkg/kmsg"

func initProducerIDCases() apiCases {
	ask := func(id int64, epoch int16, timeout int32) *kmsg.InitProducerIDRequest {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch, req.TransactionTimeoutMillis = id, epoch, timeout
		return req
	}
	fresh := func(s *Script, req *kmsg.InitProducerIDRequest) {
		s.ProducerID() // Apache Kafka may need a moment for its first block of ids
		req.SetVersion(s.Version)
		resp := s.exchange(s.Version, req)
		if r, ok := resp.(*kmsg.InitProducerIDResponse); ok && r.ProducerID >= 0 {
			s.names.producer(r.ProducerID)
		}
		s.note("InitProducerId", resp)
	}
	return apiCases{22, func() kmsg.Request { return ask(-1, -1, 60_000) }, append(initTransactionalCases(), []Case{
		{Name: "without a transaction", Run: func(s *Script) {
			fresh(s, ask(-1, -1, 60_000))
			fresh(s, ask(-1, -1, 60_000))
		}},
		{Name: "timeouts without a transaction", Run: func(s *Script) {
			for _, timeout := range []int32{0, -1, 2147483647, -2147483648} {
				fresh(s, ask(-1, -1, timeout))
			}
		}},
		{Name: "ids without a transaction", From: 3, Run: func(s *Script) {
			id := s.ProducerID()
			fresh(s, ask(id, 0, 60_000))
			fresh(s, ask(id, 5, 60_000))
			fresh(s, ask(1<<40, 0, 60_000))
			fresh(s, ask(id, -1, 60_000))
			fresh(s, ask(-1, 0, 60_000))
			fresh(s, ask(-5, -5, 60_000))
		}},
		{Name: "empty transactional id", Run: func(s *Script) {
			req := ask(-1, -1, 60_000)
			req.TransactionalID = kmsg.StringPtr("")
			s.Ask(req)
		}},
	}...)}
}
