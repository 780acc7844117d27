package checker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	h "wadi/integration/history"
	"wadi/integration/history/judge"
)

const (
	// patience bounds single requests of clients that are to go on through faults.
	patience = 60 * time.Second
	// finish is how long clients may take to finish what they have begun when they are told to end.
	finish = 20 * time.Second
)

// patient bounds one request of a client of those that may finish until ctx ends.
func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, patience)
}

// options of a run.
type options struct {
	Seed uint64
	// Length is of the work, faults and healing; the drain comes on top. Work goes on until every planned fault has happened,
	// three times as long at most: a busy machine takes longer for each.
	Length       time.Duration
	Transactions bool
	// OldClient adds a client of transaction version 1, whose requests are never held back.
	OldClient bool
	Budget    time.Duration // of the drain; 0 means budget
	// Late holds requests back until they are late.
	Late bool
	// First ends the run when what was recorded so far is false already.
	First bool
}

// topic is one of the run's.
type topic struct {
	name       string
	id         [16]byte
	partitions int32
}

// run is one run against brokers that are there.
type run struct {
	t   testing.TB
	o   options
	rec *h.Recorder
	net *network

	topics                []topic // all that are read and drained
	in, out, mixed, roams topic

	holds holder
	calm  chan struct{}

	// sending and making end finish after producers and transforming groups were told to end.
	sending, making context.Context

	failed atomic.Bool                  // some probe did
	found  atomic.Pointer[judge.Result] // of options.First

	mu struct {
		sync.Mutex
		next     map[string]map[h.Log]int64 // of consumers by assignment
		happened map[string]bool            // faults
	}
}

// happens notes that a fault did.
func (r *run) happens(fault string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.happened[fault] = true
}

// shown reports whether every planned fault has happened.
func (r *run) shown() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(plans(r.o, len(r.net.addresses) > 1), func(fault string) bool { return !r.mu.happened[fault] })
}

// enough calls end when the work has lasted long enough.
func (r *run) enough(ctx context.Context, end func()) {
	defer end()
	if !pause(ctx, r.o.Length) || r.o.First {
		return
	}
	for began := time.Now(); !r.shown() && time.Since(began) < 2*r.o.Length && pause(ctx, time.Second); {
	}
}

// start and stop record a fault.
func (r *run) start(fault, who string) {
	r.rec.Add(h.Fact{Kind: h.Start, Name: fault, Who: who})
}

func (r *run) stop(fault, who string, fired bool, why string) {
	f := h.Fact{Kind: h.Stop, Name: fault, Who: who, Outcome: h.Unknown, Error: why}
	if fired {
		f.Outcome = h.OK
		r.happens(fault)
	}
	r.rec.Add(f)
}

// fail is for what is wrong with the run itself. It may be called from any goroutine.
func (r *run) fail(err error) { r.t.Error(err) }

func (r *run) reached(who string, rec *kgo.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.next[who] == nil {
		r.mu.next[who] = map[h.Log]int64{}
	}
	r.mu.next[who][h.Log{Topic: rec.Topic, Partition: rec.Partition}] = rec.Offset + 1
}

// at is how far a consumer by assignment has come.
func (r *run) at(who string, l h.Log) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.next[who][l]
}

// execute runs it all and judges. faults is called when everything is at work, and returns when all is healed.
func execute(t testing.TB, addresses []string, o options, plan []string, faults func(ctx context.Context, r *run)) *judge.Result {
	t.Helper()
	r := &run{t: t, o: o, rec: h.New(), net: newNetwork(t, addresses), calm: make(chan struct{})}
	r.mu.next, r.mu.happened = map[string]map[h.Log]int64{}, map[string]bool{}
	if r.o.Budget == 0 {
		r.o.Budget = budget
	}
	for _, name := range plan {
		r.rec.Add(h.Fact{Kind: h.Plan, Name: name})
	}
	r.create()
	var giveUpSending, giveUpMaking context.CancelFunc
	r.sending, giveUpSending = context.WithCancel(context.Background())
	r.making, giveUpMaking = context.WithCancel(context.Background())
	sending, stopSending := context.WithCancel(r.sending)
	making, stopMaking := context.WithCancel(r.making)
	defer stopSending()
	defer stopMaking()
	reading, stopReading := context.WithCancel(context.Background())
	var senders, makers, readers sync.WaitGroup
	t.Cleanup(func() {
		giveUpSending()
		giveUpMaking()
		stopReading()
		senders.Wait()
		makers.Wait()
		readers.Wait()
	})
	r.consumers(reading, &readers)
	r.producers(sending, &senders)
	r.transformers(making, &makers)

	timed, cancel := context.WithCancel(context.Background())
	var looks sync.WaitGroup
	looks.Go(func() { r.enough(timed, cancel) })
	if o.First {
		looks.Go(func() { r.look(timed, cancel) })
	}
	faults(timed, r)
	cancel()
	looks.Wait()
	if found := r.found.Load(); found != nil {
		r.dump(r.rec.Facts(), found)
		return found
	}
	r.rec.Add(h.Fact{Kind: h.Healed})
	healed := time.Now()
	r.probe(healed)
	if r.failed.Load() {
		r.o.Budget = min(r.o.Budget, soon+20*time.Second)
	}
	stopSending()
	time.AfterFunc(finish, giveUpSending)
	senders.Wait()
	close(r.calm)
	r.processed(healed)
	stopMaking()
	time.AfterFunc(finish, giveUpMaking)
	makers.Wait()
	r.settle()
	r.caughtUp(healed)
	stopReading()
	readers.Wait()
	r.drain(healed)
	facts := r.rec.Facts()
	result := judge.Judge(facts)
	if result.Verdict == judge.False || *dumpAll {
		r.dump(facts, result)
	}
	return result
}

// look judges what there is, again and again, and ends the work when it is false: what is broken stays broken, whatever
// comes.
func (r *run) look(ctx context.Context, end func()) {
	for pause(ctx, 3*time.Second) {
		if result := judge.Judge(r.rec.Facts()); result.Verdict == judge.False {
			r.found.Store(result)
			end()
			return
		}
	}
}

func (r *run) consumers(ctx context.Context, all *sync.WaitGroup) {
	for i := range r.net.addresses {
		all.Go(func() { r.observe(ctx, i) })
	}
	all.Go(func() { r.assigned(ctx, committedConsumer, kgo.ReadCommitted()) })
	all.Go(func() { r.assigned(ctx, "assigned-all", kgo.ReadUncommitted()) })
	all.Go(func() { r.lagging(ctx, "lagging-committed", kgo.ReadCommitted()) })
	all.Go(func() { r.lagging(ctx, "lagging-all", kgo.ReadUncommitted()) })
	for i := range 2 {
		all.Go(func() { r.subscribed(ctx, fmt.Sprintf("subscribed-%d", i)) })
	}
	all.Go(func() { r.watchOffsets(ctx) })
}

// committedConsumer is the one that probes look at.
const committedConsumer = "assigned-committed"

func (r *run) producers(ctx context.Context, all *sync.WaitGroup) {
	all.Go(func() { r.plain(ctx, "plain-0", []topic{r.in, r.mixed}, 30*time.Millisecond) })
	all.Go(func() { r.plain(ctx, "plain-1", []topic{r.in}, 60*time.Millisecond) })
	all.Go(func() { r.roam(ctx) })
	if !r.o.Transactions {
		return
	}
	for i := range 3 {
		m := &mixed{r: r, id: fmt.Sprintf("mixed-%d", i), topics: []topic{r.mixed, r.roams}}
		m.random = r.random(m.id)
		all.Go(func() { m.run(ctx) })
	}
	if r.o.OldClient {
		m := &mixed{r: r, id: "old-0", topics: []topic{r.mixed, r.roams}, old: true}
		m.random = r.random(m.id)
		all.Go(func() { m.run(ctx) })
	}
	all.Go(func() { r.byHand(ctx) })
}

func (r *run) transformers(ctx context.Context, all *sync.WaitGroup) {
	if !r.o.Transactions {
		return
	}
	for i := range 2 {
		x := &transform{r: r, id: fmt.Sprintf("transform-%d", i), from: r.in, to: r.out, calm: r.calm}
		x.random = r.random(x.id)
		all.Go(func() { x.run(ctx) })
	}
}

// create creates the topics.
func (r *run) create() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := r.direct("creator", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	defer d.close()
	for _, t := range []struct {
		at         *topic
		name       string
		partitions int32
	}{{&r.in, "in", 4}, {&r.out, "out", 3}, {&r.mixed, "mixed", 4}, {&r.roams, "roams", 2}} {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 20_000
		one := kmsg.NewCreateTopicsRequestTopic()
		one.Topic, one.NumPartitions, one.ReplicationFactor = t.name, t.partitions, -1
		req.Topics = append(req.Topics, one)
		resp, err := d.do(ctx, req)
		if err == nil {
			err = kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
		}
		if err != nil {
			r.t.Fatalf("create %s: %v", t.name, err)
		}
		*t.at = topic{t.name, resp.(*kmsg.CreateTopicsResponse).Topics[0].TopicID, t.partitions}
		r.topics = append(r.topics, *t.at)
	}
}

// dump writes the history, and the excerpt of each violation.
func (r *run) dump(facts []h.Fact, result *judge.Result) {
	name := filepath.Join(os.TempDir(), "wadi-checker", fmt.Sprintf("%d-%s", r.o.Seed, time.Now().UTC().Format("150405")))
	write := func(name string, facts []h.Fact) error {
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		return errors.Join(h.Dump(f, facts), f.Close())
	}
	err := os.MkdirAll(name, 0o700)
	if err == nil {
		err = write(filepath.Join(name, "history.jsonl"), facts)
	}
	for i, v := range result.Violations {
		if i == 10 || err != nil {
			break
		}
		err = write(filepath.Join(name, fmt.Sprintf("excerpt-%d-%s.jsonl", i, v.Invariant)), judge.Excerpt(facts, v))
	}
	if err != nil {
		r.t.Errorf("dump: %v", err)
	}
	r.t.Logf("the history is in %s", name)
}

var (
	clientLog = flag.Bool("client-log", false, "show what clients log")
	dumpAll   = flag.Bool("dump", false, "write every history to a file, not only false ones")
)

// logger shows what clients log where the test asks for it.
func (r *run) logger(name string) kgo.Logger {
	if !*clientLog {
		return kgo.BasicLogger(os.Stderr, kgo.LogLevelNone, nil)
	}
	return kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, func() string { return name + " " })
}
