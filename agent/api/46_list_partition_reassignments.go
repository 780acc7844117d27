package api

// ListPartitionReassignments: key 46, versions 0 to 0.

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/server"
)

// listPartitionReassignments is always empty, whatever is asked for: alterPartitionReassignments starts none.
func (a *API) listPartitionReassignments(context.Context, *server.Request) (kmsg.Response, error) {
	return kmsg.NewPtrListPartitionReassignmentsResponse(), nil
}
