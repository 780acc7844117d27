package bench

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is one connection that sends a request at a time.
type wire struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	form *kmsg.RequestFormatter
	n    int32
}

func dialWire(t target) (*wire, error) {
	conn, err := net.Dial("tcp", t.address)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, in: bufio.NewReader(conn), form: kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench"))}, nil
}

// send writes a request in its version; receive reads the answer to it.
func (w *wire) send(req kmsg.Request) error {
	w.n++
	w.out = w.form.AppendRequest(w.out[:0], req, w.n)
	_, err := w.conn.Write(w.out)
	return err
}

func (w *wire) receive(req kmsg.Request) (kmsg.Response, error) {
	var size [4]byte
	if _, err := io.ReadFull(w.in, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(w.in, b); err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	head := 4
	if resp.IsFlexible() {
		head = 5
	}
	return resp, resp.ReadFrom(b[head:])
}

func (w *wire) ask(req kmsg.Request) (kmsg.Response, error) {
	if err := w.send(req); err != nil {
		return nil, err
	}
	return w.receive(req)
}

const (
	committers = 50
	commitFor  = 10 * time.Second
)

// BenchmarkCommits: OffsetCommit requests of one partition each from 50 connections, one at a time, each for a group of its
// own (wanted: 10,000 a second).
func BenchmarkCommits(b *testing.B) {
	t := dev(b)
	createTopic(b, t, "committed", 4)
	for b.Loop() {
		cpu := cpuSeconds(b, t.process.Pid())
		took, err := commits(t)
		if err != nil {
			b.Fatal(err)
		}
		cpu = cpuSeconds(b, t.process.Pid()) - cpu
		slices.Sort(took)
		b.ReportMetric(float64(len(took))/commitFor.Seconds(), "commits/s")
		b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
		b.ReportMetric(cpu/float64(len(took))*1e6, "cpu-us/commit")
	}
}

// commits returns how long each acknowledged commit took.
func commits(t target) (took []time.Duration, err error) {
	var mu sync.Mutex
	var running sync.WaitGroup
	end := time.Now().Add(commitFor)
	for i := range committers {
		running.Go(func() {
			mine, failed := committer(t, i, end)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if failed != nil {
				err = failed
			}
		})
	}
	running.Wait()
	return took, err
}

func committer(t target, i int, end time.Time) (took []time.Duration, err error) {
	w, err := dialWire(t)
	if err != nil {
		return nil, err
	}
	defer w.conn.Close()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 9, fmt.Sprint("committer-", i), -1
	topic, part := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	topic.Topic, part.Partition = "committed", int32(i%4)
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	for began := time.Now(); began.Before(end); began = time.Now() {
		req.Topics[0].Partitions[0].Offset++
		resp, err := w.ask(req)
		if err != nil {
			return took, err
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
	}
	return took, nil
}

const (
	heartGroups  = 1000
	heartMembers = 3
	heartWorkers = 20
	heartEvery   = 3 * time.Second // the default of clients
	heartFor     = 30 * time.Second
)

// heart is a member of a group.
type heart struct {
	group, id  string
	generation int32
}

// BenchmarkHeartbeats: 1,000 groups of three members, all of them stable, on one agent, each heartbeat answered. They must
// cost no write.
func BenchmarkHeartbeats(b *testing.B) {
	t := dev(b)
	for b.Loop() {
		hearts := make([][]heart, heartWorkers)
		each(b, func(worker int) error { return assemble(t, worker, &hearts[worker]) })
		before, cpu := read(b, t), cpuSeconds(b, t.process.Pid())
		time.Sleep(heartFor)
		idle := cpuSeconds(b, t.process.Pid()) - cpu
		quiet := read(b, t)
		cpu = cpuSeconds(b, t.process.Pid())
		each(b, func(worker int) error { return beat(t, hearts[worker], heartFor) })
		after := read(b, t)
		b.ReportMetric(float64(heartGroups*heartMembers)/heartEvery.Seconds(), "heartbeats/s")
		b.ReportMetric((cpuSeconds(b, t.process.Pid())-cpu-idle)/heartFor.Seconds()*100, "cpu-%")
		b.ReportMetric(after.since(quiet, "wadi_journal_appends_total", "")-quiet.since(before, "wadi_journal_appends_total", ""), "appends")
	}
}

func each(b *testing.B, f func(worker int) error) {
	b.Helper()
	failed := make(chan error, heartWorkers)
	for worker := range heartWorkers {
		go func() { failed <- f(worker) }()
	}
	for range heartWorkers {
		if err := <-failed; err != nil {
			b.Fatal(err)
		}
	}
}

// assemble brings a worker's groups to their first whole generation. Members join one after the other, on connections of
// their own, as a join is answered when all have joined.
func assemble(t target, worker int, into *[]heart) error {
	wires := make([]*wire, heartMembers)
	for i := range wires {
		var err error
		if wires[i], err = dialWire(t); err != nil {
			return err
		}
		defer wires[i].conn.Close()
	}
	for g := worker; g < heartGroups; g += heartWorkers {
		members := make([]heart, heartMembers)
		for i := range members {
			members[i].group = fmt.Sprint("hearts-", g)
		}
		for n := 1; n <= heartMembers; n++ {
			if err := generation(wires, members, n); err != nil {
				return fmt.Errorf("%s: %w", members[0].group, err)
			}
		}
		*into = append(*into, members...)
	}
	return nil
}

// generation lets the first n members, of which the last is new, join and get their assignment.
func generation(wires []*wire, members []heart, n int) error {
	joins := make([]*kmsg.JoinGroupRequest, n)
	for k := range n {
		i := n - 1 - k // the newcomer first: the others join again because of it
		if k == 1 {
			for {
				resp, err := wires[0].ask(heartbeat(members[0]))
				if err != nil {
					return err
				}
				if resp.(*kmsg.HeartbeatResponse).ErrorCode == kerr.RebalanceInProgress.Code {
					break
				}
			}
		}
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.MemberID, req.ProtocolType = 3, members[i].group, members[i].id, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 600_000, 60_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		req.Protocols = append(req.Protocols, p)
		joins[i] = req
		if err := wires[i].send(req); err != nil {
			return err
		}
	}
	for i := range n {
		resp, err := wires[i].receive(joins[i])
		if err != nil {
			return err
		}
		j := resp.(*kmsg.JoinGroupResponse)
		if err := kerr.ErrorForCode(j.ErrorCode); err != nil {
			return err
		}
		members[i].id, members[i].generation = j.MemberID, j.Generation
	}
	syncs := make([]*kmsg.SyncGroupRequest, n)
	for i := range n {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 3, members[i].group, members[i].id, members[i].generation
		syncs[i] = req
		if err := wires[i].send(req); err != nil {
			return err
		}
	}
	for i := range n {
		resp, err := wires[i].receive(syncs[i])
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.SyncGroupResponse).ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

func heartbeat(h heart) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 4, h.group, h.id, h.generation
	return req
}

// beat sends the members' heartbeats, spread over their interval.
func beat(t target, hearts []heart, during time.Duration) error {
	w, err := dialWire(t)
	if err != nil {
		return err
	}
	defer w.conn.Close()
	pause := heartEvery / time.Duration(len(hearts))
	end := time.Now().Add(during)
	for n := 0; time.Now().Before(end); n++ {
		resp, err := w.ask(heartbeat(hearts[n%len(hearts)]))
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode); err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		time.Sleep(pause)
	}
	return nil
}
