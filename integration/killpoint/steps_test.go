package killpoint

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"wadi/internal/layout"
	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
)

// step is a call that the agent can be killed at.
type step string

// The life of a record and of a session.
const (
	putSegment   step = "put-segment"
	putHedge     step = "put-hedge" // the second request for a segment
	appendObject step = "append-object"
	appendHedge  step = "append-hedge" // of the second request's object
	appendInline step = "append-inline"
	grant        step = "grant"
	register     step = "register"
	openSession  step = "open-session"
	keepAlive    step = "keep-alive"
	closeSession step = "close-session" // of the predecessor
	revoke       step = "revoke"        // at the end of a drain; register, again, begins one
)

// A checkpoint, in order.
const (
	acquireJob step = "acquire-job"
	mark       step = "mark"
	digest     step = "digest"
	putArchive step = "put-archive"
	putBase    step = "put-base"
	putRoot    step = "put-root"
	pointer    step = "pointer"
	archived   step = "archived"
	trim       step = "trim"
	compact    step = "compact"
	clean      step = "clean"
)

// The compactor's work.
const (
	putMerged     step = "put-merged" // of a merge, or of a compaction
	replaceRuns   step = "replace-runs"
	compactRuns   step = "compact-runs"
	putManifest   step = "put-manifest"
	foldRuns      step = "fold-runs"
	unfoldRuns    step = "unfold-runs"
	trimLogs      step = "trim-logs"
	releaseOwned  step = "release-objects"
	collect       step = "collect"
	forgetObjects step = "forget-objects"
	forgetSession step = "forget-sessions"
)

// A cluster's first moments.
const (
	decide      step = "bootstrap-key"
	clusterFile step = "cluster-file"
	initCluster step = "init-cluster"
)

var (
	sessionSteps    = []step{grant, register, openSession, keepAlive, closeSession}
	checkpointSteps = []step{
		acquireJob, mark, digest, putArchive, putBase, putRoot, pointer, archived, trim, compact, clean,
	}
	compactorSteps = []step{
		putMerged, replaceRuns, compactRuns, putManifest, foldRuns, unfoldRuns, trimLogs, releaseOwned, collect, forgetObjects, forgetSession,
	}
	bootstrapSteps = []step{decide, clusterFile, initCluster}
)

// compacts reports whether a step is the compactor's.
func (s step) compacts() bool { return slices.Contains(compactorSteps, s) }

// often reports whether a step comes again and again while an agent lives, so that any of its calls can be the one.
func (s step) often() bool {
	switch s {
	case putMerged, replaceRuns, compactRuns, putManifest, foldRuns, trimLogs, collect, forgetObjects:
		return true
	case putSegment, putHedge, appendObject, appendHedge, appendInline, mark, digest, putArchive, putRoot, pointer, archived, trim:
		return true
	}
	return false
}

// stepsOfTxn finds the steps that a transaction is part of.
func stepsOfTxn(keys layout.Etcd, t kv.Txn) []step {
	var steps []step
	for _, op := range t.Then {
		journal := strings.HasPrefix(op.Key, keys.JournalPrefix())
		switch {
		case op.Kind == kv.OpDelete && journal:
			return []step{trim}
		case op.Kind != kv.OpPut:
		case journal && op.Key != keys.Head():
			steps = append(steps, stepsOfEntry(op.Value)...)
		case op.Key == keys.Checkpoint():
			steps = append(steps, pointer)
		case op.Key == keys.Bootstrap():
			steps = append(steps, decide)
		case strings.HasPrefix(op.Key, keys.SessionsPrefix()):
			steps = append(steps, register)
		case strings.HasPrefix(op.Key, keys.JobsPrefix()):
			steps = append(steps, acquireJob)
		case strings.HasPrefix(op.Key, keys.DigestsPrefix()):
			steps = append(steps, digest)
		}
	}
	return steps
}

func stepsOfEntry(value []byte) []step {
	e := &pb.Entry{}
	if err := proto.Unmarshal(value, e); err != nil {
		panic(err) // the agent's own
	}
	var steps []step
	for _, c := range e.Commands {
		switch k := c.Kind.(type) {
		case *pb.Command_AppendBatches:
			switch a := k.AppendBatches; {
			case a.Flush == 0:
				steps = append(steps, appendInline)
			case a.Hedge:
				steps = append(steps, appendHedge)
			default:
				steps = append(steps, appendObject)
			}
		case *pb.Command_InitCluster:
			steps = append(steps, initCluster)
		case *pb.Command_OpenSession:
			steps = append(steps, openSession)
		case *pb.Command_CloseSession:
			steps = append(steps, closeSession)
		case *pb.Command_Mark:
			steps = append(steps, mark)
		case *pb.Command_Archived:
			steps = append(steps, archived)
		case *pb.Command_ReplaceRuns:
			if len(k.ReplaceRuns.Compacted) > 0 {
				steps = append(steps, compactRuns)
			} else {
				steps = append(steps, replaceRuns)
			}
		case *pb.Command_FoldRuns:
			steps = append(steps, foldRuns)
		case *pb.Command_UnfoldRuns:
			steps = append(steps, unfoldRuns)
		case *pb.Command_TrimPartitions:
			steps = append(steps, trimLogs)
		case *pb.Command_ReleaseObjects:
			steps = append(steps, releaseOwned)
		case *pb.Command_ForgetObjects:
			steps = append(steps, forgetObjects)
		case *pb.Command_ForgetSessions:
			steps = append(steps, forgetSession)
		}
	}
	return steps
}

// stepsOfPut finds the step that storing an object is.
func stepsOfPut(keys layout.Objects, cluster, key string) []step {
	if key == layout.ClusterFile(cluster) {
		return []step{clusterFile}
	}
	if name, err := keys.ParseFlush(key); err == nil {
		if name.Hedge {
			return []step{putHedge}
		}
		return []step{putSegment}
	}
	if _, err := keys.ParseMerged(key); err == nil {
		return []step{putMerged}
	}
	if _, err := keys.ParseManifest(key); err == nil {
		return []step{putManifest}
	}
	if k, err := keys.ParseCheckpoint(key); err == nil {
		return []step{map[layout.CheckpointKind]step{
			layout.Archive: putArchive, layout.Base: putBase, layout.Root: putRoot,
		}[k.Kind]}
	}
	return nil
}

// stepsOfDelete tells what a checkpoint's cleaning deletes from what the compactor collects.
func stepsOfDelete(objects layout.Objects, keys []string) (steps []step) {
	for _, key := range keys {
		s := collect
		if _, err := objects.ParseCheckpoint(key); err == nil {
			s = clean
		}
		if !slices.Contains(steps, s) {
			steps = append(steps, s)
		}
	}
	return steps
}
