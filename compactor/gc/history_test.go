package gc

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
	"wadi/metadata/session"
	"wadi/metadata/state"
)

// history draws what happens to a cluster.
type history struct {
	*world
	r       *rapid.T
	live    []layout.Session // but for gc's
	next    layout.Session
	ready   map[layout.Session]uint64 // a flush that is uploaded and may be appended
	topics  []uint64
	delayed []*pb.Command // of gc, that land later
	other   *Task         // a process that had the job, and takes itself for its holder at times
}

// Random histories: things are written, merged, folded, deleted; checkpoints come and roots go; sessions end with requests
// on their way; gc works on in between, sometimes in two processes that do not know of each other, dies at any of its calls,
// before or after its effect, and loses what it proposes. What is deleted nobody names (see guarded); in the end all that nobody needs is gone, in a bounded number of passes.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := &history{world: newWorld(r), r: r, next: 100, ready: map[layout.Session]uint64{}}
		foreign := []string{h.put(objectKeys.Flush(99, 1), size), h.put(objectKeys.Merged(99, 1), size), h.put(layout.ClusterFile("demo"), size)}
		h.other = h.task
		h.start()
		h.topics = append(h.topics, h.topic("t0"))
		h.live = append(h.live, h.open(h.next).id)
		h.next++
		for range rapid.IntRange(20, 200).Draw(r, "steps") {
			h.step()
		}
		h.end()
		h.expect(true, foreign...)
	})
}

func (h *history) some(n int, what string) int { return rapid.IntRange(0, n-1).Draw(h.r, what) }

// writer is a live session's, topic one of those there are.
func (h *history) writer() *writer { return h.sessions[h.live[h.some(len(h.live), "session")]] }
func (h *history) any() uint64     { return h.topics[h.some(len(h.topics), "topic")] }

func (h *history) step() {
	steps := []struct {
		weight int
		do     func()
	}{
		{12, func() { h.flushed(h.writer()) }},
		{4, func() { x := h.writer(); x.upload(h.world); h.ready[x.id] = x.flush }},
		{4, func() {
			if x := h.writer(); h.ready[x.id] > 0 && h.ready[x.id] == x.flush {
				x.write(h.world, h.any(), x.flush)
				delete(h.ready, x.id)
			}
		}},
		{2, func() { h.late(h.writer(), 0) }},
		{5, func() { h.writer().write(h.world, h.any(), 0) }},
		{6, func() {
			if topic := h.any(); h.s.TopicByNumber(topic).Partition(0).Runs() > 0 {
				h.writer().merged(h.world, topic, h.version(topic))
			}
		}},
		{2, func() { h.writer().merged(h.world, h.any(), 1<<40) }},
		{4, h.folded},
		{3, h.topicGoes},
		{3, func() {
			var loose []state.Manifest
			h.s.EachLoose(func(m state.Manifest) { loose = append(loose, m) })
			if len(loose) > 0 {
				h.writer().release(h.world, loose[h.some(len(loose), "manifest")])
			}
		}},
		{3, func() {
			if len(h.live) < 4 {
				h.live = append(h.live, h.open(h.next).id)
				h.next++
			}
		}},
		{3, func() {
			if len(h.live) > 1 {
				i := h.some(len(h.live), "session")
				h.close(h.live[i])
				h.live = slices.Delete(h.live, i, i+1)
			}
		}},
		{3, h.lateOfTheDead},
		{6, func() { h.mark(h.some(4, "base") == 0) }},
		{6, h.published},
		{6, h.record},
		{10, func() {
			if h.mark(h.some(4, "base") == 0); h.some(2, "whole") == 0 {
				h.published()
				h.record()
			}
		}},
		{12, func() { h.later(time.Duration(h.some(30, "minutes")) * time.Minute) }},
		{8, func() { h.later(time.Duration(h.some(90, "seconds")) * time.Second) }},
		{30, h.works},
		{2, h.start},
		{4, func() { h.task, h.other = h.other, h.task }},
		{3, h.lands},
	}
	var all []func()
	for _, s := range steps {
		for range s.weight {
			all = append(all, s.do)
		}
	}
	all[h.some(len(all), "step")]()
}

func (h *history) flushed(x *writer) {
	x.flushed(h.world, h.any())
	delete(h.ready, x.id)
}

// late is a request of a session that lands at some time: a hedge, a merge that was given up.
func (h *history) late(x *writer, more int) {
	switch n := uint64(1 + h.some(int(x.flush)+1+more, "n")); h.some(3, "kind") {
	case 0:
		h.landed(objectKeys.FlushHedge(x.id, n))
	case 1:
		h.landed(objectKeys.Merged(x.id, x.merge+1))
		x.merge++
	case 2:
		h.landed(objectKeys.Manifest(x.id, x.merge+1))
		x.merge++
	}
}

func (h *history) landed(key string) {
	if !h.there(key) && !h.knows(key) {
		h.put(key, size)
	}
}

// lateOfTheDead lets a request of a closed session land, within the grace.
func (h *history) lateOfTheDead() {
	var list []layout.Session
	for id, at := range h.closed {
		if h.ms-at < grace.Milliseconds() {
			list = append(list, id)
		}
	}
	if len(list) == 0 {
		return
	}
	slices.Sort(list)
	h.late(h.sessions[list[h.some(len(list), "session")]], 3)
}

// folded folds a topic whose runs are one merged object.
func (h *history) folded() {
	topic := h.any()
	fit, n := true, 0
	h.s.TopicByNumber(topic).Partition(0).EachRun(func(r state.Run) {
		n++
		o, ok := h.s.Object(r.Place)
		fit = fit && !r.Inline() && ok && o.Kind == state.MergedObject && o.Refs == 1
	})
	if fit && n > 0 {
		h.writer().fold(h.world, topic)
	}
}

func (h *history) topicGoes() {
	i := h.some(len(h.topics), "topic")
	if rapid.Bool().Draw(h.r, "another") {
		h.topics = append(h.topics, h.topic(fmt.Sprint("t", h.position)))
	} else if len(h.topics) > 1 {
		h.deleteTopic(h.topics[i])
		h.topics = slices.Delete(h.topics, i, i+1)
	}
}

// published ends a checkpoint; some older roots stay, as those of an hour do.
func (h *history) published() {
	if h.making == nil {
		return
	}
	var wanted []*root
	for _, r := range h.roots {
		if rapid.IntRange(0, 3).Draw(h.r, "wanted") == 0 {
			wanted = append(wanted, r)
		}
	}
	h.publish(rapid.IntRange(1, 3).Draw(h.r, "keep"), wanted...)
}

// works is a pass of gc, with an accident or without.
func (h *history) works() {
	switch h.some(4, "accident") {
	case 0:
		h.fuse = fuse{left: 1 + h.some(12, "fuse"), last: rapid.Bool().Draw(h.r, "dies")}
	case 1:
		h.propose = func(p *session.Proposal) bool {
			h.propose = nil
			h.delayed = append(h.delayed, p.Command)
			p.Done(session.Outcome{Err: session.ErrUnknown})
			return true
		}
	}
	_, err := h.pass()
	if err != nil && !errors.Is(err, errBurnt) && !errors.Is(err, session.ErrUnknown) && !errors.Is(err, session.ErrNotProposed) {
		h.r.Fatal(err)
	}
	if h.fuse.burnt && h.fuse.last {
		h.start()
	}
	h.fuse, h.propose = fuse{}, nil
}

// lands lets what gc proposed long ago be applied.
func (h *history) lands() {
	for _, c := range h.delayed {
		h.apply(own, c)
	}
	h.delayed = nil
}

// end lets the cluster come to rest, and checks that nothing is left that nobody needs.
func (h *history) end() {
	h.lands()
	for range 4 {
		h.checkpoint(true)
	}
	h.later(grace) // a process that has just begun knows nothing of when sessions were closed
	for range 3 {
		for range 25 {
			if n := h.passes(); n > 20 {
				h.r.Fatalf("%d passes for a handful of objects", n)
			}
			h.later(grace / 20)
		}
		h.later(2 * hourly * time.Millisecond)
	}
	needed := h.needs(h.s)
	for _, o := range h.keys() {
		x, numbered := parse(objectKeys, o)
		v, known := h.s.Session(x.session)
		switch {
		case needed[o]:
			delete(needed, o)
		case !numbered && !strings.Contains(o, "/archive/"), !numbered && !h.knows(o):
			// roots, and archives that State does not list, are the checkpoint job's
		case known && v.Closed == 0 && x.n > introduced(v, x.kind):
		case x.session == 99: // of which State has never heard
		default:
			h.r.Errorf("%s is left, nobody needs it", o)
		}
	}
	for key := range needed {
		h.r.Errorf("%s is gone", key)
	}
	if n, _ := h.s.Garbage(); n != 0 {
		h.r.Errorf("State keeps %d objects of garbage", n)
	}
	h.s.EachSession(func(id layout.Session, v state.Session) {
		if v.Closed != 0 {
			h.r.Errorf("State keeps the closed session %v", id)
		}
	})
}
