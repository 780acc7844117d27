package api

// DescribeCluster: key 60, versions 0 to 2.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
	"wadi/metadata/state"
)

// Endpoint types (KIP-919).
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// describeCluster names the same brokers and controller as Metadata. There are no controllers to connect to, and no
// fenced brokers (KIP-1073): who is not alive is not listed.
func (a *API) describeCluster(_ context.Context, req *server.Request) (kmsg.Response, error) {
	body := req.Body.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	if err := checkEndpointType(body.EndpointType); err != nil {
		resp.ErrorCode, resp.ErrorMessage = code(keyDescribeCluster, err), message(err)
		return resp, nil
	}
	a.d.View.Read(func(s *state.State) { resp.ClusterID = s.ClusterID() })
	brokers := a.d.Members.Brokers(req.Conn.Listener)
	resp.ControllerID = controller(resp.ClusterID, brokers)
	for _, b := range brokers {
		out := kmsg.NewDescribeClusterResponseBroker()
		out.NodeID, out.Host, out.Port, out.Rack = b.NodeID, b.Host, b.Port, rack(b)
		resp.Brokers = append(resp.Brokers, out)
	}
	if body.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = clusterOperations
	}
	return resp, nil
}

func checkEndpointType(kind int8) error {
	switch kind {
	case endpointBrokers:
		return nil
	case endpointControllers:
		return refuse(kerr.MismatchedEndpointType,
			"The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
	}
	return refuse(kerr.UnsupportedEndpointType, "Unsupported endpoint type %d", kind)
}
