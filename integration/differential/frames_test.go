package differential

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"wadi/agent/api"
)

// frames are the cases that every API has: what is no request of a served version, made from its sample.
func frames(a apiCases) []Case {
	return []Case{
		{Name: "frame cut short", Run: func(s *Script) {
			f := frame(a.sample(), s.Version)
			head := len(f) - body(a.sample(), s.Version)
			for i := range cuts(len(f) - head) {
				at := head + i*(len(f)-head)/cuts(len(f)-head)
				s.Frame(fmt.Sprintf("%d of %d bytes", at, len(f)), f[:at])
			}
		}},
		{Name: "frame with bytes over", Run: func(s *Script) {
			s.Frame("a byte", append(frame(a.sample(), s.Version), 0))
			s.Frame("many bytes", append(frame(a.sample(), s.Version), make([]byte, 1000)...))
		}},
		{Name: "frame with bytes changed", Run: func(s *Script) {
			f := frame(a.sample(), s.Version)
			for at := len(f) - body(a.sample(), s.Version); at < len(f); at++ {
				for _, to := range []byte{0xff, 0} {
					g := append([]byte(nil), f...)
					if g[at] == to {
						continue
					}
					g[at] = to
					s.Frame(fmt.Sprintf("byte %d of %d = %#x", at, len(f), to), g)
				}
			}
		}},
		{Name: "versions that nobody has", Alone: true, From: newest(a.key), Run: func(s *Script) {
			if a.key == 18 {
				return // ApiVersions answers; see its cases
			}
			for _, v := range []int16{-1, 99, 32767, -32768} {
				req := a.sample()
				f := frame(req, s.Version)
				f[2], f[3] = byte(uint16(v)>>8), byte(v)
				s.Frame(fmt.Sprintf("version %d", v), f)
			}
			for v := int16(0); v < oldest(a.key); v++ {
				s.Frame(fmt.Sprintf("version %d", v), frame(a.sample(), v))
			}
		}},
	}
}

// cuts is the number of places at which a body of n bytes is cut.
func cuts(n int) int { return min(n, 24) }

// frame is a request without its length.
func frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("frames")).AppendRequest(nil, req, 1)[4:]
}

// body is the length of a request without its header.
func body(req kmsg.Request, version int16) int {
	req.SetVersion(version)
	return len(req.AppendTo(nil))
}

func newest(key int16) int16 {
	for _, row := range api.Versions {
		if row.Key == key {
			return row.Max
		}
	}
	return -1
}

func oldest(key int16) int16 {
	for _, row := range api.Versions {
		if row.Key == key {
			return row.Min
		}
	}
	return -1
}
