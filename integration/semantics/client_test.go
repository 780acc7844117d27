package semantics

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience bounds every wait for an agent.
const patience = 3 * time.Minute

// client is one connection that sends what a test tells it to, in any version.
type client struct {
	t    *testing.T
	nc   net.Conn
	r    *bufio.Reader
	next int32
}

func dial(t *testing.T, n *node) *client {
	t.Helper()
	nc, err := net.Dial("tcp", n.addr)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, nc: nc, r: bufio.NewReader(nc)}
}

// write sends bytes as they are.
func (c *client) write(b []byte) {
	c.t.Helper()
	require.NoError(c.t, c.nc.SetWriteDeadline(time.Now().Add(patience)))
	_, err := c.nc.Write(b)
	require.NoError(c.t, err)
}

// send writes a request in its version and returns its correlation id.
func (c *client) send(req kmsg.Request) int32 {
	c.t.Helper()
	c.next++
	c.write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("semantics")).AppendRequest(nil, req, c.next))
	return c.next
}

// reply reads one reply: its correlation id and what follows.
func (c *client) reply() (id int32, rest []byte) {
	c.t.Helper()
	require.NoError(c.t, c.nc.SetReadDeadline(time.Now().Add(patience)))
	var size [4]byte
	_, err := io.ReadFull(c.r, size[:])
	require.NoError(c.t, err, "waiting for a reply")
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err = io.ReadFull(c.r, b)
	require.NoError(c.t, err)
	return int32(binary.BigEndian.Uint32(b)), b[4:]
}

// receive reads the reply to req, which must be the next one and leave no byte over.
func receive[R kmsg.Response](c *client, id int32, req kmsg.Request) R {
	c.t.Helper()
	got, b := c.reply()
	require.Equal(c.t, id, got, "correlation id")
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != 18 {
		require.NotEmpty(c.t, b)
		require.Zero(c.t, b[0], "tags in the reply's header")
		b = b[1:]
	}
	require.NoError(c.t, resp.ReadFrom(b))
	require.Equal(c.t, len(b), len(resp.AppendTo(nil)), "the reply has bytes that its version does not")
	return resp.(R)
}

// ask sends req in a version and returns its reply.
func ask[R kmsg.Response](c *client, version int16, req kmsg.Request) R {
	c.t.Helper()
	req.SetVersion(version)
	return receive[R](c, c.send(req), req)
}

// closed waits until the agent has closed the connection, without another byte.
func (c *client) closed() {
	c.t.Helper()
	require.NoError(c.t, c.nc.SetReadDeadline(time.Now().Add(patience)))
	b, err := io.ReadAll(c.r)
	require.False(c.t, errors.Is(err, os.ErrDeadlineExceeded), "the connection is still open")
	require.Empty(c.t, b)
}

// alive shows that the connection goes on.
func (c *client) alive() {
	c.t.Helper()
	require.Zero(c.t, ask[*kmsg.ApiVersionsResponse](c, 0, kmsg.NewPtrApiVersionsRequest()).ErrorCode)
}

// topic is a topic as CreateTopics tells of it.
type topic struct {
	name string
	id   [16]byte
}

// create makes a topic named after the test, or by name, with configs given as name, value, name, value.
func create(c *client, name string, partitions int32, configs ...string) topic {
	c.t.Helper()
	resp := ask[*kmsg.CreateTopicsResponse](c, 7, createRequest(name, partitions, configs...))
	require.Len(c.t, resp.Topics, 1)
	require.Zero(c.t, resp.Topics[0].ErrorCode, "create %s", name)
	return topic{name, resp.Topics[0].TopicID}
}

func createRequest(name string, partitions int32, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	in := kmsg.NewCreateTopicsRequestTopic()
	in.Topic, in.NumPartitions, in.ReplicationFactor = name, partitions, -1
	for i := 0; i < len(configs); i += 2 {
		cfg := kmsg.NewCreateTopicsRequestTopicConfig()
		cfg.Name, cfg.Value = configs[i], &configs[i+1]
		in.Configs = append(in.Configs, cfg)
	}
	req.Topics = append(req.Topics, in)
	return req
}

func remove(c *client, name string) {
	c.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	req.TopicNames = []string{name}
	resp := ask[*kmsg.DeleteTopicsResponse](c, 5, req)
	require.Len(c.t, resp.Topics, 1)
	require.Zero(c.t, resp.Topics[0].ErrorCode, "delete %s", name)
}

// producerID asks for a fresh one.
func producerID(c *client) int64 {
	c.t.Helper()
	resp := ask[*kmsg.InitProducerIDResponse](c, 4, kmsg.NewPtrInitProducerIDRequest())
	require.Zero(c.t, resp.ErrorCode)
	require.Zero(c.t, resp.ProducerEpoch)
	return resp.ProducerID
}

// produceRequest carries a batch for partition 0 of each topic, with acks=all.
func produceRequest(batch []byte, topics ...topic) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	for _, to := range topics {
		in := kmsg.NewProduceRequestTopic()
		in.Topic, in.TopicID = to.name, to.id
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = batch
		in.Partitions = append(in.Partitions, p)
		req.Topics = append(req.Topics, in)
	}
	return req
}

// produced is what became of one partition's batch.
type produced = kmsg.ProduceResponseTopicPartition

// produce sends a batch to partition 0 in a version that names topics.
func produce(c *client, to topic, batch []byte) produced {
	c.t.Helper()
	return produceAt(c, 11, to, batch)
}

func produceAt(c *client, version int16, to topic, batch []byte) produced {
	c.t.Helper()
	resp := ask[*kmsg.ProduceResponse](c, version, produceRequest(batch, to))
	require.Len(c.t, resp.Topics, 1)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0]
}

// stored sends a batch that must be stored at an offset.
func stored(c *client, to topic, batch []byte, offset int64) {
	c.t.Helper()
	p := produce(c, to, batch)
	require.Zero(c.t, p.ErrorCode, "produce to %s: %s", to.name, text(p.ErrorMessage))
	require.Equal(c.t, offset, p.BaseOffset, "base offset in %s", to.name)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// fetchRequest asks for partition 0 of each topic from an offset on, without waiting.
func fetchRequest(offset int64, topics ...topic) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 1, 50<<20
	req.SessionEpoch = -1
	for _, from := range topics {
		in := kmsg.NewFetchRequestTopic()
		in.Topic, in.TopicID = from.name, from.id
		p := kmsg.NewFetchRequestTopicPartition()
		p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = offset, 50<<20, -1
		in.Partitions = append(in.Partitions, p)
		req.Topics = append(req.Topics, in)
	}
	return req
}

type fetched = kmsg.FetchResponseTopicPartition

// fetch reads partition 0 of a topic in a version that names topics.
func fetch(c *client, from topic, offset int64) fetched {
	c.t.Helper()
	return only(c, ask[*kmsg.FetchResponse](c, 12, fetchRequest(offset, from)))
}

func only(c *client, resp *kmsg.FetchResponse) fetched {
	c.t.Helper()
	require.Zero(c.t, resp.ErrorCode)
	require.Len(c.t, resp.Topics, 1)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0]
}

// offsetOf asks for the place of a timestamp in partition 0.
func offsetOf(c *client, of topic, timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
	c.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	in := kmsg.NewListOffsetsRequestTopic()
	in.Topic = of.name
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp, p.CurrentLeaderEpoch = timestamp, -1
	in.Partitions = append(in.Partitions, p)
	req.Topics = append(req.Topics, in)
	resp := ask[*kmsg.ListOffsetsResponse](c, 7, req)
	require.Len(c.t, resp.Topics, 1)
	require.Len(c.t, resp.Topics[0].Partitions, 1)
	return resp.Topics[0].Partitions[0]
}

// end is the offset of the next record in partition 0.
func end(c *client, of topic) int64 {
	c.t.Helper()
	p := offsetOf(c, of, -1)
	require.Zero(c.t, p.ErrorCode)
	return p.Offset
}
