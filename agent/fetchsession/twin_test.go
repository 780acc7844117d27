package fetchsession

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// shell is what carries a Session: it follows what is bound, and marks what the world touches.
type shell struct {
	*Session
	followed map[uint32]part // by tag
	touched  map[uint32]bool
	looked   int // partitions that the last answer looked at
}

type part struct {
	topic uint64
	index int32
}

func (s *shell) touch(which func(part) bool) {
	for tag, p := range s.followed {
		if which(p) {
			s.touched[tag] = true
		}
	}
}

func (s *shell) update(req *kmsg.FetchRequest) {
	for _, tag := range s.Update(req) {
		delete(s.followed, tag)
		delete(s.touched, tag)
	}
}

func (s *shell) answer(w *world, r request, opening bool) (list []found) {
	s.Bind(func(tag uint32, t *Topic, partition int32, known bool) (uint64, string, int16) {
		name := ""
		if known {
			name = t.Name
		}
		number, code := w.resolve(s.ByID, t.Name, t.ID, partition, name)
		if number == 0 {
			return 0, "", code
		}
		s.followed[tag] = part{number, partition}
		return number, w.topics[number].name, 0
	})
	if w.blind {
		s.MarkAll()
	}
	for tag := range s.touched {
		s.Mark(tag)
	}
	clear(s.touched)
	x := &reading{w: w, r: r, left: r.max}
	news := s.News()
	s.looked = len(news)
	for _, tag := range news {
		p, t := s.At(tag), s.Topic(tag)
		f, more, gone := found{partition: p.Index, code: p.Code, Bounds: unknown}, false, false
		if p.Number != 0 {
			if f, more, gone = x.at(p.Number, p.Index, p.Offset, int64(p.MaxBytes)); gone {
				s.Unbind(tag)
				delete(s.followed, tag)
				if _, f.code = w.resolve(s.ByID, t.Name, t.ID, p.Index, t.Name); f.code == 0 {
					f.code = unknownTopic
				}
			}
		}
		if f.topic = t.Name; s.ByID {
			f.topic = fmt.Sprint(t.ID[0])
		}
		if s.Tell(tag, Found{Bounds: f.Bounds, Failed: f.code != 0, Records: f.records > 0, More: more}, opening) {
			list = append(list, f)
		}
	}
	return list
}

// reader is a client that keeps what answers say.
type reader struct {
	offsets map[string]int64 // of the partitions in its session
	knows   map[string]found
}

func key(topic string, partition int32) string { return fmt.Sprint(topic, "/", partition) }

// Semantics lines 37, 38, 39: whatever happens, a session that looks at the news alone gives, poll by poll, the answer of one
// that looks at everything, in the same order; and a client that takes over what is listed knows of every partition what
// a full fetch would tell it.
func TestSessionAgainstItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c"}
		w := &world{topics: map[uint64]*topicIn{}}
		for _, name := range names[:2] {
			w.create(name, 3)
		}
		byID := rapid.Bool().Draw(t, "byID")
		var (
			fast   *shell
			slow   *twin
			client *reader
			epoch  int32
		)
		pick := func(t *rapid.T) (uint64, int) {
			numbers := []uint64{}
			for n := range w.topics {
				numbers = append(numbers, n)
			}
			slices.Sort(numbers)
			if len(numbers) == 0 {
				return 0, 0
			}
			n := rapid.SampledFrom(numbers).Draw(t, "topic")
			return n, rapid.IntRange(0, len(w.topics[n].parts)-1).Draw(t, "partition")
		}
		touch := func(n uint64, i int) {
			if fast != nil {
				fast.touch(func(p part) bool { return p.topic == n && p.index == int32(i) })
			}
		}
		// entries of a request: those of topics that are there, were there, or never were.
		draw := func(t *rapid.T) (req *kmsg.FetchRequest) {
			req = kmsg.NewPtrFetchRequest()
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				in := kmsg.NewFetchRequestTopic()
				if byID {
					in.TopicID = [16]byte{byte(rapid.IntRange(1, int(w.next)+1).Draw(t, "id"))}
				} else {
					in.Topic = rapid.SampledFrom(append(names, "never")).Draw(t, "name")
				}
				for range rapid.IntRange(0, 3).Draw(t, "partitions") {
					p := kmsg.NewFetchRequestTopicPartition()
					p.Partition = int32(rapid.IntRange(-1, 3).Draw(t, "index"))
					p.FetchOffset = int64(rapid.IntRange(-1, 12).Draw(t, "offset"))
					p.PartitionMaxBytes = int32(rapid.IntRange(0, 6).Draw(t, "max"))
					in.Partitions = append(in.Partitions, p)
				}
				req.Topics = append(req.Topics, in)
			}
			return req
		}
		limits := func(t *rapid.T) request {
			return request{committed: rapid.Bool().Draw(t, "committed"), max: int64(rapid.IntRange(0, 10).Draw(t, "limit"))}
		}
		poll := func(t *rapid.T, req *kmsg.FetchRequest, r request, opening bool) {
			fast.update(req)
			slow.update(req)
			if fast.Len() != len(slow.parts) {
				t.Fatalf("%d partitions, not %d", fast.Len(), len(slow.parts))
			}
			clear(client.offsets)
			for _, p := range slow.parts {
				name := p.name
				if byID {
					name = fmt.Sprint(p.id[0])
				}
				client.offsets[key(name, p.partition)] = p.offset
			}
			full := slow.clone().answer(w, r, true)
			got, want := fast.answer(w, r, opening), slow.answer(w, r, opening)
			if !slices.Equal(got, want) {
				t.Fatalf("%+v\nanswers %+v\n    not %+v", r, got, want)
			}
			if len(fast.parts) > 40 || len(fast.topics) > 40 || len(fast.unbound) > 40 || len(fast.news) > 40 {
				t.Fatalf("what was forgotten is kept: %d, %d, %d, %d", len(fast.parts), len(fast.topics), len(fast.unbound), len(fast.news))
			}
			for _, f := range got {
				client.knows[key(f.topic, f.partition)] = f
			}
			for _, f := range full {
				k := client.knows[key(f.topic, f.partition)]
				if _, there := client.offsets[key(f.topic, f.partition)]; there && (k.Bounds != f.Bounds || k.code != f.code) {
					t.Fatalf("the client knows %+v of what is %+v", k, f)
				}
			}
		}
		open := func(t *rapid.T) {
			r := limits(t)
			fast = &shell{Session: New(byID, r.committed), followed: map[uint32]part{}, touched: map[uint32]bool{}}
			slow, client, epoch = &twin{byID: byID}, &reader{map[string]int64{}, map[string]found{}}, 1
			poll(t, draw(t), r, true)
		}
		open(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				if n, i := pick(t); n != 0 {
					p := &w.topics[n].parts[i]
					stable := p.Stable == p.High
					if p.High += int64(rapid.IntRange(1, 4).Draw(t, "records")); stable && !rapid.Bool().Draw(t, "transactional") {
						p.Stable = p.High
					}
					touch(n, i)
				}
			},
			"end the transaction": func(t *rapid.T) {
				if n, i := pick(t); n != 0 {
					w.topics[n].parts[i].Stable = w.topics[n].parts[i].High
					touch(n, i)
				}
			},
			"trim": func(t *rapid.T) {
				if n, i := pick(t); n != 0 {
					p := &w.topics[n].parts[i]
					p.Start = int64(rapid.IntRange(int(p.Start), int(p.Stable)).Draw(t, "start"))
					touch(n, i)
				}
			},
			"delete": func(t *rapid.T) {
				if n, _ := pick(t); n != 0 {
					delete(w.topics, n)
					fast.touch(func(p part) bool { return p.topic == n })
				}
			},
			"create": func(t *rapid.T) {
				if w.next < 20 {
					w.create(rapid.SampledFrom(names).Draw(t, "name"), rapid.IntRange(1, 3).Draw(t, "partitions"))
				}
			},
			"grow": func(t *rapid.T) {
				if n, _ := pick(t); n != 0 && len(w.topics[n].parts) < 4 {
					w.topics[n].parts = append(w.topics[n].parts, Bounds{})
				}
			},
			"touched for nothing": func(t *rapid.T) {
				if n, i := pick(t); n != 0 {
					touch(n, i)
				}
			},
			"replace":      func(*rapid.T) { fast.touch(func(part) bool { return true }) },
			"out of touch": func(*rapid.T) { w.blind = !w.blind },
			"open":         open,
			"poll": func(t *rapid.T) {
				req, r := kmsg.NewPtrFetchRequest(), limits(t)
				if rapid.Bool().Draw(t, "changes") {
					req = draw(t)
					for _, in := range draw(t).Topics {
						out := kmsg.NewFetchRequestForgottenTopic()
						out.Topic, out.TopicID = in.Topic, in.TopicID
						for _, p := range in.Partitions {
							out.Partitions = append(out.Partitions, p.Partition)
						}
						req.ForgottenTopics = append(req.ForgottenTopics, out)
					}
				}
				if err := fast.Continue(epoch, byID, r.committed); err != nil {
					t.Fatal(err)
				}
				epoch++
				poll(t, req, r, false)
			},
			"poll in peace": func(t *rapid.T) {
				// The same again with nothing between: in the end nobody looks at what has nothing to tell. A topic that was
				// created anew takes two polls: one tells that the old one is gone.
				r := limits(t)
				for range 3 {
					if err := fast.Continue(epoch, byID, r.committed); err != nil {
						t.Fatal(err)
					}
					epoch++
					poll(t, kmsg.NewPtrFetchRequest(), r, false)
				}
				restless := 0
				for _, p := range slow.parts {
					f, more, _ := (&reading{w: w, r: r, left: math.MaxInt64}).at(p.number, p.partition, p.offset, math.MaxInt64)
					if p.number == 0 || f.code != 0 || more {
						restless++
					}
				}
				if fast.looked != restless {
					t.Fatalf("%d partitions looked at, %d have something to tell", fast.looked, restless)
				}
			},
		})
	})
}
