package sim

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var mutate = flag.Bool("mutations", false, "check that planted defects are found (minutes)")

// mutation plants one defect in the product by text, for a build of its own.
type mutation struct {
	name     string
	file     string // from the module's root
	old, new string // old occurs exactly once
}

var mutations = []mutation{
	{"state takes duplicates for new batches", "metadata/state/producers.go",
		"return Duplicate, base, ms", "_, _ = base, ms\n\t\t\treturn OK, -1, -1"},
	{"state accepts gaps in a sequence", "metadata/state/producers.go",
		"return Duplicate, base, ms\n\t\t}\n\t\treturn OutOfOrderSequence, -1, -1", "return Duplicate, base, ms\n\t\t}\n\t\treturn OK, -1, -1"},
	{"state does not count inline runs of archives", "metadata/state/objects.go",
		"refs += e.runs", "refs += e.runs / 2"},
	{"a base forgets what an epoch holds", "metadata/state/base.go",
		"Runs: e.runs, Bytes: e.bytes}", "Runs: e.runs}"},
	{"session acknowledges when the append returns", "metadata/session/core.go",
		"\t\tf.position, f.value = position, nil\n", "\t\tf.position, f.value = position, nil\n" +
			"\t\tfor i, p := range f.proposals {\n\t\t\tif a := p.Command.GetAppendBatches(); a != nil && p.Done != nil {\n" +
			"\t\t\t\tp.Done(Outcome{Position: position, Result: &state.Result{Batches: make([]state.BatchResult, len(a.Records))}})\n" +
			"\t\t\t\tf.proposals[i] = &Proposal{Command: p.Command}\n\t\t\t}\n\t\t}\n"},
	{"session uses a sequence again after an unknown outcome", "metadata/session/core.go",
		"case kv.Definite(err) && f.sends == 1:", "case f.sends == 1:"},
	{"session calls what was on its way when the lease ended not proposed", "metadata/session/core.go",
		"c.lose(fmt.Errorf(\"%w: %w\", journal.ErrSessionLost, err), false)", "c.lose(fmt.Errorf(\"%w: %w\", journal.ErrSessionLost, err), true)"},
	{"appends do not compare the session", "metadata/journal/journal.go",
		"{Key: session, Target: kv.CreateRevision, Want: a.Revision},", ""},
	{"the view ignores gaps of the head", "metadata/view/core.go",
		"if e.Head != c.head+1 {", "if false {"},
	{"the view takes a late head read for a rollback", "metadata/view/core.go",
		"c.sameEtcd(h, c.readFloor)", "c.sameEtcd(h, c.floor())"},
	{"the view passes barriers early", "metadata/view/core.go",
		"c.targets[0].position <= c.st.Position()", "true"},
	{"the view never reads the head by itself", "metadata/view/core.go",
		"Pulse: time.Second", "Pulse: time.Hour"},
	{"a listing misses an entry and nobody counts", "metadata/journal/snapshot.go",
		"if int64(len(list)) != want {", "if len(list) > 1 {\n\t\tlist = append(list[:1], list[2:]...)\n\t}\n\tif false {"},
	{"trimming goes up to the new checkpoint", "metadata/checkpoint/core.go",
		"w.Pointer.TrimPosition = c.last.Pointer.Position", "w.Pointer.TrimPosition = w.Pointer.Position"},
	{"the pointer moves without a compare", "metadata/checkpoint/steps.go",
		"If:   []kv.Compare{{Key: pointer, Target: kv.ModRevision, Want: last.Revision}, j.holds()},\n", ""},
	{"archives are cleaned although runs lie in them", "metadata/checkpoint/clean.go",
		"if _, listed := s.FindArchive(name.Session, name.Head); listed {", "if false {"},
	{"a late sweep deletes newer checkpoints", "metadata/checkpoint/clean.go",
		"if name.Head > newestHead {", "if false {"},
	{"archives are dropped from the root before State has them", "metadata/checkpoint/write.go",
		"if a.To > base || unrecorded {", "_ = unrecorded\n\t\tif a.To > base {"},
	{"flushes are proposed as their uploads end", "agent/ingest/commit.go",
		"case f.state == uploaded && !waiting:", "case f.state == uploaded:\n\t\t\t_ = waiting"},
	{"a partition goes inline while its objects are on their way", "agent/ingest/lanes.go",
		"if p.pending[objectLane] == 0 && c.inlineAllowed(", "if c.inlineAllowed("},
	{"a lost session's uploads free their bytes at once", "agent/ingest/core.go",
		"c.settle(it, Result{Err: ErrNoSession, Base: -1})\n", "c.settle(it, Result{Err: ErrNoSession, Base: -1})\n\t\t\t\tc.free(it)\n"},
	{"registering leaves the keys of dead predecessors", "metadata/session/registration.go",
		"f.Place == c.cfg.Place && len(c.tried) < maxTried", "f.Place == c.cfg.Place && len(c.tried) < 0"},
	{"a log start moves back", "metadata/state/trim.go", "offset <= start {", "offset == start {"},
	{"a sweep drops the run that the log start lies in", "metadata/state/trim.go",
		"p.runs.first().Last < p.LogStart }", "p.runs.first().Base < p.LogStart }"},
	{"a sweep keeps the references of what it drops below a log start", "metadata/state/sweep.go",
		"r := p.runs.popFront()\n\t\t\t\ts.dropRun(r)", "r := p.runs.popFront()\n\t\t\t\ts.runCount--"},
	{"a base forgets which partitions are to be swept", "metadata/state/base.go",
		"s.encodeTopics, s.encodeTrimmed,", "s.encodeTopics,"},
	{"a commit is judged without the generation", "metadata/state/offsets.go",
		"case g.Type == ClassicGroup && g.Generation != generation:", "case false:"},
	{"a commit is judged without the member's epoch", "metadata/state/offsets.go",
		"case g.Type == ConsumerGroup && !mayCommit(m, c):", "case false:"},
	{"a member commits what it gave up meanwhile", "metadata/state/assigned.go",
		"!ok || c.Generation < since {", "ok && c.Generation < since {"},
	{"partitions are assigned under an epoch before the member's", "agent/group/consumer/reconcile.go",
		"\t\treturn epoch\n", "\t\treturn epoch - 1\n"},
	{"a late commit undoes another session's", "metadata/state/offsets.go",
		"\tcase g.commits.byOther(s.session, base):\n\t\treturn Conflict\n\t}\n\treturn g.JudgeCommit", "\t}\n\treturn g.JudgeCommit"},
	{"State takes a change of a group at any version", "metadata/state/groups.go",
		"case known != c.Version:", "case known > 1<<60:"},
	{"members hear of an assignment before it is State", "agent/group/sync.go",
		"\tc.propose(g, u, func() {\n\t\tg.took(u)\n\t\tg.phase = stable\n", "\tfor _, m := range g.order {\n" +
			"\t\tm.assignment = req.Assignments[m.id]\n\t\tc.endSync(m, g.assigned(m))\n\t}\n" +
			"\tc.propose(g, u, func() {\n\t\tg.took(u)\n\t\tg.phase = stable\n"},
	{"members hear of a generation before it is State", "agent/group/join.go",
		"\tu := g.change(state.GroupCompleting)\n", "\tfor _, m := range g.order {\n\t\tc.endJoin(g, m, g.current(m))\n\t}\n" +
			"\tu := g.change(state.GroupCompleting)\n"},
	{"a coordinator answers after its lease", "metadata/session/core.go",
		"return c.lastAlive + c.cfg.TTL }", "return c.lastAlive + 3*c.cfg.TTL }"},
	{"a coordinator does not see that another changed its group", "agent/group/core.go",
		"case g.ticket == 0 && g.version != version:", "case false:"},
	{"a partition is handed over before it was given up", "agent/group/consumer/heartbeat.go",
		"return !held || holder == m.Id || before != nil && holder == before.Id", "return !held || holder != \"\""},
	{"a heartbeat that does not say what it owns gives up partitions", "agent/group/consumer/reconcile.go",
		"(said == nil || overlap(*said, s))", "(said != nil && overlap(*said, s))"},
	{"members of a group taken over never expire", "agent/group/restore.go",
		"\t\tc.heard(g, m)\n\t}\n\tswitch s.State", "\t\tm.deadline = never\n\t}\n\tswitch s.State"},
	{"consumers of a group taken over never expire", "agent/group/consumers.go",
		"\tfor _, m := range s.Members {\n\t\tc.heardConsumer(g, m, session)\n\t}\n}", "\t_ = session\n}"},
	{"a take-over forces a rebalance", "agent/group/restore.go",
		"\tcase state.GroupStable:\n\t\tg.phase = stable\n", "\tcase state.GroupStable:\n\t\tg.phase = stable\n" +
			"\t\tif len(g.order) > 0 {\n\t\t\tc.prepare(g)\n\t\t}\n"},
	{"a group taken over does not look whether topics grew", "agent/group/consumers.go",
		"g.consumers.looked = c.topicsRound - 1", "g.consumers.looked = c.topicsRound"},
	{"sweeping a topic forgets an object's references", "metadata/state/objects.go",
		"\tif !r.Inline() {\n\t\ts.releaseObject(r.Place, 1)\n", "\tif !r.Inline() {\n\t\ts.releaseObject(r.Place, min(2, s.objects.get(r.Place).Refs))\n"},

	{"the last stable offset lies one too high", "metadata/state/txns.go",
		"return max(p.open[0].First, p.LogStart)", "return max(p.open[0].First+1, p.LogStart)"},
	{"the last stable offset counts the newest open transaction only", "metadata/state/txns.go",
		"return max(p.open[0].First, p.LogStart)", "return max(p.open[len(p.open)-1].First, p.LogStart)"},
	{"some aborted transactions are not listed", "metadata/state/end_txn.go",
		"\tif !commit {\n\t\tp.aborted.append(", "\tif !commit && r.Base%7 != 0 {\n\t\tp.aborted.append("},
	{"a list of aborted transactions ends with the first that begins behind it", "metadata/state/txns.go",
		"if a.Stable > to {", "if a.First > to {"},
	{"a client hears that its transaction ended before it did", "metadata/session/core.go",
		"\t\tf.position, f.value = position, nil\n", "\t\tf.position, f.value = position, nil\n" +
			"\t\tfor i, p := range f.proposals {\n\t\t\tif k := p.Command.GetEndTxn(); k != nil && p.Done != nil {\n" +
			"\t\t\t\tp.Done(Outcome{Position: position, Result: &state.Result{ID: k.ProducerId, Epoch: int16(k.ProducerEpoch) + 1}})\n" +
			"\t\t\t\tf.proposals[i] = &Proposal{Command: p.Command}\n\t\t\t}\n\t\t}\n"},
	{"the end of a transaction does not end its epoch", "metadata/state/end_txn.go",
		"\tif c.Bump || c.Fence {\n", "\tif c.Fence {\n"},
	{"an abort by InitProducer does not fence", "metadata/state/end_txn.go",
		"\ts.bump(t)\n\tt.previousEpoch = noEpoch\n", "\tt.previousEpoch = noEpoch\n"},
	{"the janitor's abort does not fence", "metadata/state/end_txn.go",
		"\tif c.Bump || c.Fence {\n", "\tif c.Bump {\n"},
	{"epochs are judged by what partitions know", "metadata/state/add_to_txn.go",
		"\tcase id != t.ProducerID || epoch != int32(t.Epoch):\n\t\treturn InvalidProducerEpoch", "\tcase id != t.ProducerID:\n\t\treturn InvalidProducerEpoch"},
	{"EndTxn forgets a partition", "metadata/state/end_txn.go",
		"\tfor _, part := range t.parts {\n", "\tfor i, part := range t.parts {\n\t\tif i > 0 && i == len(t.parts)-1 {\n\t\t\tbreak\n\t\t}\n"},
	{"EndTxn commits partitions and no positions", "metadata/state/end_txn.go",
		"s.settle(t, &t.groups[i], commit)", "s.settle(t, &t.groups[i], false)"},
	{"an abort keeps its positions", "metadata/state/end_txn.go",
		"s.settle(t, &t.groups[i], commit)", "s.settle(t, &t.groups[i], true)"},
	{"what came before a transaction began ends it", "metadata/state/end_txn.go",
		"case !(c.Bump && !c.Fence) && t.Began > base:", "case c.Fence && t.Began > base:"},
	{"a batch comes into a transaction without its partition", "metadata/state/add_to_txn.go",
		"case transactional != 2:", "case false:"},
	{"positions that a transaction holds are told as stable", "metadata/state/txns.go",
		"groups[i].offsets.get(offsetKey(topic, uint32(partition))) != nil {\n\t\t\treturn true", "groups[i].offsets.get(offsetKey(topic, uint32(partition))) != nil {\n\t\t\treturn false"},
	{"a transaction takes positions of members that are gone", "metadata/state/add_to_txn.go",
		"return t, g.judgeTxnCommit(k)", "return t, OK"},
	{"a base forgets where a transaction began", "metadata/state/base_txns.go",
		"append(r.First, p.first)", "append(r.First, min(p.first, 0))"},
	{"the janitor is early", "agent/txn/janitor.go",
		"if l.now-w.since >= o.Timeout {", "if l.now-w.since >= o.Timeout/2 {"},
	{"gc ignores kept roots", "compactor/gc/judge.go", "if o.Introduced <= k.Position && k.Position < o.Lost {", "if k == nil {"},
	{"gc does not wait for a checkpoint behind the loss", "compactor/gc/judge.go", "if p.GetPosition() < o.Lost {", "if p == nil {"},
	{"gc ignores the grace", "compactor/gc/judge.go", "return now-o.LostMs >= a.grace || o.Lost <= a.aged", "return true"},
	{"gc takes what may be introduced yet for orphans", "compactor/gc/orphans.go", "case x.n > introduced(v, x.kind):", "case false:"},
	{"sessions are forgotten too early", "compactor/gc/sweep.go",
		"return v.Closed != 0 && v.Closed <= a.aged", "return v.Closed != 0"},
	{"sessions are forgotten that have checkpoints left", "compactor/gc/sweep.go", "\t\tif !w.holds[id] {\n\t\t\tlist", "\t\tif true {\n\t\t\tlist"},
	{"gc does not look into manifests", "compactor/gc/sweeper.go", "\t\tt.sweep.owned(o.Session, o.N)\n", "\t\t_ = o\n"},
	{"merges forget markers", "compactor/merge/build.go", "\t\tif err := b.append(w, r, x); err != nil {", "\t\tif x.Control() {\n\t\t\tcontinue\n\t\t}\n\t\tif err := b.append(w, r, x); err != nil {"},
	{"what compactors read lies one too high", "compactor/runs/reader.go", "b.SetBaseOffset(base)", "b.SetBaseOffset(base + 1)"},
	{"runs are replaced whatever their version", "metadata/state/replace.go", "if p.Version != c.Versions[i] || last", "if last"},
	{"a compaction forgets aborted transactions behind it", "metadata/state/replace.go", "p.aborted.dropWithin(base, last)", "p.aborted.dropWithin(base, p.Next)"},
	{"a compaction drops the last record of a key", "compactor/keycompact/sieve.go",
		"return keys.last(hashOf(r.Key)) <= r.Offset", "return keys.last(hashOf(r.Key)) < r.Offset"},
	{"a compaction keeps what was aborted", "compactor/keycompact/section.go",
		"return i < len(list) && list[i].First <= b.BaseOffset()", "return i < len(list) && list[i].First < 0"},
	{"aborted records replace others", "compactor/keycompact/sieve.go", "b.Control() || s.isAborted(b) || b", "b.Control() || b"},
	{"tombstones go at once", "compactor/keycompact/sieve.go", "expired := has && horizon <= s.now", "expired := !has || horizon <= s.now"},
	{"tombstones go early", "compactor/keycompact/section.go", "in.Now+min(in.Configs(t).DeleteRetentionMs, math.MaxInt64-in.Now)", "in.Now+in.Configs(t).DeleteRetentionMs/4"},
	{"records are compacted before their time", "compactor/keycompact/plan.go", "x.newest > before(in.Now, c.MinCompactionLagMs))", "false)"},
	{"a fold forgets aborted transactions", "compactor/fold/write.go", "\tfor _, a := range p.aborted {", "\tfor _, a := range p.aborted[:len(p.aborted)/2] {"},
	{"a fold forgets what an older one listed as aborted", "compactor/unfold/copy.go", "\t\tfor _, a := range list {", "\t\tfor _, a := range list[:0] {"},
	{"an unfold forgets aborted transactions", "compactor/unfold/step.go", "\tfor _, a := range x.aborted {", "\tfor _, a := range x.aborted[:len(x.aborted)/2] {"},
	{"an unfold does not know since when its objects are there", "compactor/unfold/step.go", "append(c.Introduced, o.Introduced)", "append(c.Introduced, o.Introduced-1)"},
	{"state forgets what an unfold leaves in a manifest", "metadata/state/unfold.go", "p.Manifest = nil; c.N != 0", "p.Manifest = nil; c.N != 0 && false"},
	{"a fold does not know since when its objects are there", "compactor/fold/write.go", "Introduced: o.Introduced}", "Introduced: o.Introduced + 1}"},
	{"retention goes beyond what is stable", "compactor/retention/rule.go", "if r.Last >= c.stable {", "if false {"},
	{"retention is early", "compactor/retention/rule.go", "maxTimestamp < r.before", "maxTimestamp < r.before+300"},
	{"trims are taken that older configs asked for", "metadata/state/trim.go", "t.Changed > base", "false"},

	{"ingest takes batches of version 2 for those of version 1", "agent/ingest/item.go",
		"it.txn = joining", "it.txn = member"},
}

// TestMutations plants defects, one at a time, and expects 400 runs to find each; those of groups took 40 at the most when
// they were written, those of transactions 32, most of them 1.
// TestDefectsFollowTheCode fails when the text is gone that a defect changes.
func TestDefectsFollowTheCode(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		m.plant(t, root)
	}
}

func TestMutations(t *testing.T) {
	if !*mutate {
		t.Skip("opt in with -mutations")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			overlay := m.plant(t, root)
			cmd := exec.Command("go", "test", "-timeout", "1h", "-overlay", overlay, "-run", "TestSeeds", "-count", "1", ".",
				"-seeds", "400", "-first")
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("not found: %s", out)
			}
			at := bytes.Index(out, []byte("seed "))
			if at < 0 {
				t.Fatalf("the planted defect does not build or panics: %s", out)
			}
			line, _, _ := bytes.Cut(out[at:], []byte("\n"))
			t.Logf("found: %s", line)
		})
	}
}

// plant writes the changed file and an overlay that puts it in the place of the original.
func (m mutation) plant(t *testing.T, root string) string {
	original := filepath.Join(root, m.file)
	text, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s has %d places for the defect %q: it must follow the code", m.file, n, m.name)
	}
	changed := filepath.Join(t.TempDir(), "changed.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: changed}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
