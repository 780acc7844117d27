package api

// DescribeClientQuotas: key 48, versions 0 to 1.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// describeClientQuotas finds none, as none can be set. What makes no sense is refused as Apache Kafka does.
func (a *API) describeClientQuotas(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeClientQuotasRequest)
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	if err := checkQuotaFilter(body.Components); err != nil {
		resp.ErrorCode, resp.ErrorMessage = code(keyDescribeClientQuotas, err), message(err)
		return resp, nil
	}
	resp.ErrorMessage = kmsg.StringPtr("")
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null would say that the question failed
	return resp, nil
}

func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	var twice seen[string]
	ip, other := false, false
	for i := range components {
		c := &components[i]
		switch {
		case c.EntityType == "":
			return refuse(kerr.InvalidRequest, "Invalid empty entity type.")
		case twice.again(c.EntityType):
			return refuse(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", c.EntityType)
		}
		switch c.EntityType {
		case "user", "client-id":
			other = true
		case "ip":
			ip = true
		default:
			return refuse(kerr.UnsupportedVersion, "Unsupported entity type %s", c.EntityType)
		}
		switch c.MatchType {
		case kmsg.QuotasMatchTypeExact:
			if c.Match == nil {
				return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
			}
		case kmsg.QuotasMatchTypeDefault:
			if c.Match != nil {
				return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")
			}
		case kmsg.QuotasMatchTypeAny:
			if c.Match != nil {
				return refuse(kerr.InvalidRequest, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.")
			}
		default:
			return refuse(kerr.InvalidRequest, "Unknown match type %d", c.MatchType)
		}
	}
	if ip && other {
		return refuse(kerr.InvalidRequest, "Invalid entity filter component combination: ip stands alone.")
	}
	return nil
}
