package api

// IncrementalAlterConfigs: key 44, versions 0 to 1.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// incrementalAlterConfigs changes configs one by one: sets them, takes them back, appends to lists and takes out of them
// (KIP-339, Semantics line 88).
func (a *API) incrementalAlterConfigs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.IncrementalAlterConfigsRequest)
	list := make([]alteration, len(body.Resources))
	for i := range body.Resources {
		in := &body.Resources[i]
		list[i] = alteration{kind: in.ResourceType, name: in.ResourceName}
		for _, c := range in.Configs {
			list[i].changes = append(list[i].changes, configChange{c.Op, c.Name, c.Value})
		}
	}
	a.alter(ctx, list, body.ValidateOnly)
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(list))
	for i := range list {
		out := &resp.Resources[i]
		out.Default()
		out.ResourceType, out.ResourceName = list[i].kind, list[i].name
		out.ErrorCode, out.ErrorMessage = code(keyIncrementalAlterConfigs, list[i].err), message(list[i].err)
	}
	return resp, nil
}
