package api

// ListConfigResources: key 74, versions 0 to 1.

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// listConfigResources names what has configs (KIP-1142): every topic and live broker, and the groups and metrics
// subscriptions that have some of their own. Version 0 knew subscriptions alone (KIP-1000).
func (a *API) listConfigResources(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	kinds := []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeClientMetrics}
	if body.Version >= 1 {
		var err error
		if kinds, err = listedKinds(body.ResourceTypes); err != nil {
			resp.ErrorCode = code(keyListConfigResources, err)
			return resp, nil
		}
	}
	if err := a.barrier(ctx); err != nil {
		resp.ErrorCode = code(keyListConfigResources, err)
		return resp, nil
	}
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	a.d.View.Read(func(s *state.State) {
		for _, kind := range kinds {
			add := func(name string) {
				r := kmsg.NewListConfigResourcesResponseConfigResource()
				r.Name, r.Type = name, int8(kind)
				resp.ConfigResources = append(resp.ConfigResources, r)
			}
			switch kind {
			case kmsg.ConfigResourceTypeTopic:
				s.EachTopic(func(t *state.Topic) { add(t.Name) })
			case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
				for _, b := range brokers {
					add(strconv.Itoa(int(b.NodeID)))
				}
			default:
				s.EachConfigs(state.ResourceType(kind), func(r *state.ConfigResource) { add(r.Name) })
			}
		}
	})
	return resp, nil
}

var allKinds = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic,
}

// listedKinds are the kinds asked for, each once; none named asks for all.
func listedKinds(asked []int8) ([]kmsg.ConfigResourceType, error) {
	if len(asked) == 0 {
		return allKinds, nil
	}
	for _, k := range asked {
		if !slices.Contains(allKinds, kmsg.ConfigResourceType(k)) {
			return nil, refuse(kerr.UnsupportedVersion, "resources of type %d have no configs", k)
		}
	}
	return slices.DeleteFunc(slices.Clone(allKinds), func(k kmsg.ConfigResourceType) bool {
		return !slices.Contains(asked, int8(k))
	}), nil
}
