package differential

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func listConfigResourcesCases() apiCases {
	list := func(kinds ...kmsg.ConfigResourceType) *kmsg.ListConfigResourcesRequest {
		req := kmsg.NewPtrListConfigResourcesRequest()
		for _, k := range kinds {
			req.ResourceTypes = append(req.ResourceTypes, int8(k))
		}
		return req
	}
	// found records which of some names are listed: others come from other cases.
	found := func(s *Script, req *kmsg.ListConfigResourcesRequest, names ...string) {
		resp := s.Do(s.Version, req).(*kmsg.ListConfigResourcesResponse)
		var listed []string
		for _, r := range resp.ConfigResources {
			if i := slices.Index(names, r.Name); i >= 0 {
				listed = append(listed, fmt.Sprintf("name %d of type %d", i, r.Type))
			}
		}
		slices.Sort(listed)
		s.Note("listed", fmt.Sprint(resp.ErrorCode, listed))
	}
	return apiCases{74, func() kmsg.Request { return list(99) }, []Case{
		{Name: "what there is", Run: func(s *Script) {
			a, g, m := s.Topic("a", 1), s.Unused("g"), s.Unused("m")
			s.Do(1, alter(ofGroup, g, "consumer.session.timeout.ms=50000"))
			s.Do(1, alter(ofMetrics, m, "interval.ms=1000"))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "50000", groupSet)
			s.Becomes(ofMetrics, m, "interval.ms", "1000", metricsSet)
			names := []string{a.name, g, m, fmt.Sprint(s.broker.node)}
			found(s, list(), names...)
			for _, kind := range []kmsg.ConfigResourceType{ofTopic, ofBroker, ofLogger, ofMetrics, ofGroup} {
				found(s, list(kind), names...)
			}
			found(s, list(ofGroup, ofGroup, ofTopic), names...)
			s.Do(1, alter(ofGroup, g, "!consumer.session.timeout.ms"))
			s.Becomes(ofGroup, g, "consumer.session.timeout.ms", "45000", kafkaSet)
			found(s, list(ofGroup), names...)
		}},
		{Name: "kinds that nobody has", From: 1, Run: func(s *Script) {
			s.Ask(list(99))
			s.Ask(list(ofTopic, 0))
		}},
	}}
}
