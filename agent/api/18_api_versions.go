package api

// ApiVersions: key 18, versions 0 to 4.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// apiVersions answers from the table, and with the features that clients choose protocols by (Semantics line 4).
func apiVersions(_ context.Context, req *server.Request) (kmsg.Response, error) {
	resp := kmsg.NewPtrApiVersionsResponse()
	body, ok := req.Body.(*kmsg.ApiVersionsRequest)
	if !ok {
		// Semantics line 1, KIP-511: a version above ours is answered in version 0 with our range, and the client
		// tries again on the same connection.
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		for _, v := range Versions {
			if v.Key == req.Key {
				resp.ApiKeys = []kmsg.ApiVersionsResponseApiKey{advertise(v)}
			}
		}
		return resp, nil
	}
	if req.Version >= 3 {
		if !validSoftware(body.ClientSoftwareName) || !validSoftware(body.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code // Semantics line 3.
			return resp, nil
		}
		req.Conn.SetSoftware(server.Software{Name: body.ClientSoftwareName, Version: body.ClientSoftwareVersion})
	}
	resp.ApiKeys = make([]kmsg.ApiVersionsResponseApiKey, 0, len(Versions))
	for _, v := range Versions {
		resp.ApiKeys = append(resp.ApiKeys, advertise(v))
	}
	stateFeatures(req.Version, resp)
	return resp, nil
}

func advertise(v Served) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = v.Key, v.AdvertisedMin, v.Max
	return k
}

// validSoftware is [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func validSoftware(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case (c == '-' || c == '.') && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}

// ApiVersionsHandler needs nothing but the table of versions.
var ApiVersionsHandler = server.Sync(apiVersions)
