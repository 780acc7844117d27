package etcdkv

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"wadi/metadata/kv"
)

// memberStatus asks one member for its status.
type memberStatus func(ctx context.Context) (*pb.StatusResponse, error)

// memberPatience bounds the wait for one member, so that a dead one leaves time for what the others say.
const memberPatience = 2 * time.Second

// statusOf joins the answers of all members that give one: the largest file, the smallest quota and any alarm count,
// because the fullest member stops the whole cluster. It fails when no member answers.
func statusOf(ctx context.Context, members []memberStatus, m pb.MaintenanceClient, c pb.ClusterClient, opts []grpc.CallOption) (kv.Status, error) {
	type answer struct {
		st  *pb.StatusResponse
		err error
	}
	answers := make(chan answer, len(members))
	for _, ask := range members {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, memberPatience)
			defer cancel()
			st, err := ask(ctx)
			answers <- answer{st, err}
		}()
	}
	var res kv.Status
	var firstErr error
	got, troubled := 0, false
	for range members {
		a := <-answers
		if a.err != nil {
			if firstErr == nil {
				firstErr = a.err
			}
			continue
		}
		got++
		if h := header(a.st.Header); h.Revision >= res.Header.Revision {
			res.Header = h
		}
		if a.st.DbSize >= res.DBSize {
			res.DBSize, res.DBInUse = a.st.DbSize, a.st.DbSizeInUse
		}
		if q := a.st.DbSizeQuota; q > 0 && (res.QuotaBytes == 0 || q < res.QuotaBytes) {
			res.QuotaBytes = q
		}
		troubled = troubled || len(a.st.Errors) > 0
	}
	if got == 0 {
		return kv.Status{}, firstErr
	}
	if troubled {
		// The status lists alarms as text. Asking for them by type is a raft proposal even when only listing, so it is
		// done when there is something to tell apart.
		alarms, err := m.Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_GET, Alarm: pb.AlarmType_NOSPACE}, opts...)
		if err != nil {
			return kv.Status{}, err
		}
		for _, a := range alarms.Alarms {
			res.NoSpace = res.NoSpace || a.Alarm == pb.AlarmType_NOSPACE
		}
	}
	list, err := c.MemberList(ctx, &pb.MemberListRequest{Linearizable: false}, opts...)
	if err != nil {
		return kv.Status{}, err
	}
	res.Members = len(list.Members)
	return res, nil
}
