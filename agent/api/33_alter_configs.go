package api

// AlterConfigs: key 33, versions 0 to 2.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// alterConfigs replaces all configs of each resource: what is not named goes back to its default. Clients use
// IncrementalAlterConfigs since KIP-339, as two of these at the same time undo each other.
func (a *API) alterConfigs(ctx context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.AlterConfigsRequest)
	list := make([]alteration, len(body.Resources))
	for i := range body.Resources {
		in := &body.Resources[i]
		list[i] = alteration{kind: in.ResourceType, name: in.ResourceName, replace: true}
		if in.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
			list[i].kind = 0 // this API never knew them
		}
		for _, c := range in.Configs {
			list[i].changes = append(list[i].changes, configChange{kmsg.IncrementalAlterConfigOpSet, c.Name, c.Value})
		}
	}
	a.alter(ctx, list, body.ValidateOnly)
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(list))
	for i := range list {
		out := &resp.Resources[i]
		out.Default()
		out.ResourceType, out.ResourceName = body.Resources[i].ResourceType, list[i].name
		out.ErrorCode, out.ErrorMessage = code(keyAlterConfigs, list[i].err), message(list[i].err)
	}
	return resp, nil
}
