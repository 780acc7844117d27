package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// patience bounds every wait for a broker.
const patience = 3 * time.Minute

// errClosed: the broker closed the connection instead of answering.
var errClosed = errors.New("closed")

// conn is one connection; it sends whatever it is told to, in any version.
type conn struct {
	nc   net.Conn
	next int32
}

func dial(address string) (*conn, error) {
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return &conn{nc: nc}, nil
}

// write sends bytes as they are. A broker that has closed is found out by read.
func (c *conn) write(b []byte) error {
	if err := c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.nc.Write(b)
	return err
}

// send writes a request in its version and returns its correlation id.
func (c *conn) send(req kmsg.Request) (int32, error) {
	c.next++
	return c.next, c.write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("differential")).AppendRequest(nil, req, c.next))
}

// read reads one reply: its correlation id and what follows. It returns errClosed at the end of the stream.
func (c *conn) read() (id int32, rest []byte, err error) {
	if err := c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, nil, fmt.Errorf("neither an answer nor an end after %v", patience)
		}
		return 0, nil, errClosed
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > 256<<20 {
		return 0, nil, fmt.Errorf("a reply of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.nc, b); err != nil {
		return 0, nil, fmt.Errorf("half a reply: %w", err)
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// receive reads the reply to req, which must be the next one.
func (c *conn) receive(id int32, req kmsg.Request) (kmsg.Response, error) {
	got, b, err := c.read()
	if err != nil {
		return nil, err
	}
	if got != id {
		return nil, fmt.Errorf("a reply to %d where %d was due", got, id)
	}
	return decode(req, b)
}

// decode reads the reply to req behind its correlation id. A reply that its own fields do not add up to is an error:
// bytes over, a null array where the schema has none.
func decode(req kmsg.Request, b []byte) (kmsg.Response, error) {
	resp := req.ResponseKind()
	if resp.IsFlexible() && req.Key() != 18 {
		if len(b) == 0 || b[0] != 0 {
			return nil, errors.New("no empty tag buffer in the reply's header")
		}
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("reply to %T v%d: %w", req, req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("reply to %T v%d: %d bytes, of which its fields make %d", req, req.GetVersion(), len(b), len(again))
	}
	return resp, nil
}
