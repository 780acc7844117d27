package halt

import (
	"context"
	"os"
	"strings"
	"syscall"

	"google.golang.org/protobuf/proto"

	"wadi/metadata/kv"
	pb "wadi/metadata/metadatapb"
	"wadi/objstore"
)

// Variable names the environment variable, Taken what is appended to the file's name when its order is taken.
const (
	Variable = "CHECKER_HALT"
	Taken    = ".taken"
)

// Points of an order.
const (
	Uploaded  = "uploaded"  // a flush lies in the store, its commit is not sent
	Committed = "committed" // batches are committed, nobody was answered
	Ended     = "ended"     // a transaction is ended, nobody was answered
)

// Ways to halt.
const (
	Stop = "stop" // SIGSTOP to itself: it goes on with SIGCONT where it was
	Kill = "kill"
)

// at takes the order for a point, if there is one, and carries it out.
func at(point string) {
	file := os.Getenv(Variable)
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return // no order
	}
	way, wanted, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	if wanted != point || os.Rename(file, file+Taken) != nil {
		return // another's
	}
	if way == Stop {
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) // to oneself it cannot fail
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // not one thing more until the signal has arrived
}

// KV halts after appends that succeeded.
func KV(inner kv.KV) kv.KV { return haltKV{inner} }

type haltKV struct{ kv.KV }

func (x haltKV) Txn(ctx context.Context, t kv.Txn) (kv.TxnResult, error) {
	res, err := x.KV.Txn(ctx, t)
	if err == nil && res.Succeeded {
		for _, point := range pointsOf(t) {
			at(point)
		}
	}
	return res, err
}

// pointsOf finds what a transaction appends. What is no entry does not parse as one that has such commands.
func pointsOf(t kv.Txn) (points []string) {
	for _, op := range t.Then {
		e := &pb.Entry{}
		if op.Kind != kv.OpPut || !strings.Contains(op.Key, "/journal/") || proto.Unmarshal(op.Value, e) != nil {
			continue
		}
		for _, c := range e.Commands {
			switch c.Kind.(type) {
			case *pb.Command_AppendBatches:
				points = append(points, Committed)
			case *pb.Command_EndTxn:
				points = append(points, Ended)
			}
		}
	}
	return points
}

// Store halts after uploads of flushes that succeeded.
func Store(inner objstore.Store) objstore.Store { return haltStore{inner} }

type haltStore struct{ objstore.Store }

func (x haltStore) Put(ctx context.Context, key string, body objstore.Body) error {
	err := x.Store.Put(ctx, key, body)
	if err == nil && strings.Contains(key, "/flush/") {
		at(Uploaded)
	}
	return err
}
