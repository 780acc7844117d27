package faultkv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wadi/metadata/kv"
)

// Transcript returns the lines written since the start or the last call of Reset, in the order in which the calls were
// answered. A line is "<op> <request> -> [<fault>: ]<outcome>":
//
//	txn if create(a)=0 then put(a,12B,lease 5) get(b) -> ok rev 7 gets [1]
//	range [a,b) at 5 limit 2 -> 2 of 3 rev 7
//	watch#1 [j/,j0) from 8 nodelete
//	watch#1 rev 9: put(j/1,30B) put(j/~head,0B)
//	keepalive 5 -> hang: unavailable, canceled
func (k *KV) Transcript() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.mu.lines)
}

// Reset empties the transcript.
func (k *KV) Reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.lines = nil
}

func (k *KV) write(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mu.lines = append(k.mu.lines, line)
}

func (k *KV) record(c Call, fault, outcome string) {
	line := c.String() + " -> "
	if fault != "" {
		line += fault + ": "
	}
	k.write(line + outcome)
}

// recordWatch writes down the opening of a watch, or one of its responses.
func (k *KV) recordWatch(id int, c Call, r Rule, hit bool) {
	line := fmt.Sprintf("watch#%d %s", id, requestOf(c))
	if hit {
		line += " -> " + r.Action.String()
	}
	k.write(line)
}

// String is the call as the transcript has it.
func (c Call) String() string { return strings.TrimSpace(c.Op.String() + " " + requestOf(c)) }

func requestOf(c Call) string {
	switch c.Op {
	case Txn:
		return txnText(c.Txn)
	case Range:
		return rangeText(c.Range)
	case Watch:
		s := fmt.Sprintf("%s from %d", span(c.Watch.Key, c.Watch.End), c.Watch.From)
		if c.Watch.NoDelete {
			s += " nodelete"
		}
		if c.Watch.Progress {
			s += " progress"
		}
		return s
	case Response:
		return responseText(c.Response)
	case Grant:
		return fmt.Sprintf("ttl %d", c.TTL)
	case KeepAlive, Revoke:
		return fmt.Sprintf("%x", c.Lease)
	case Compact:
		return strconv.FormatInt(c.Revision, 10)
	}
	return ""
}

func span(key, end string) string {
	switch end {
	case "":
		return text(key)
	case "\x00":
		return "[" + text(key) + ",)"
	}
	return "[" + text(key) + "," + text(end) + ")"
}

// text is a key as it is, or quoted when it would not read as one word.
func text(key string) string {
	q := strconv.Quote(key)
	if q[1:len(q)-1] == key && !strings.ContainsAny(key, " ,()[]") {
		return key
	}
	return q
}

func txnText(t kv.Txn) string {
	var parts []string
	if len(t.If) > 0 {
		parts = append(parts, "if")
		for _, c := range t.If {
			target := map[kv.Target]string{kv.CreateRevision: "create", kv.ModRevision: "mod", kv.Version: "version"}[c.Target]
			parts = append(parts, fmt.Sprintf("%s(%s)=%d", target, text(c.Key), c.Want))
		}
	}
	parts = append(parts, "then")
	parts = append(parts, opTexts(t.Then)...)
	if len(t.Else) > 0 {
		parts = append(parts, "else")
		parts = append(parts, opTexts(t.Else)...)
	}
	return strings.Join(parts, " ")
}

func opTexts(ops []kv.Op) (out []string) {
	for _, op := range ops {
		switch op.Kind {
		case kv.OpPut:
			s := fmt.Sprintf("put(%s,%dB", text(op.Key), len(op.Value))
			if op.Lease != 0 {
				s += fmt.Sprintf(",lease %x", op.Lease)
			}
			out = append(out, s+")")
		case kv.OpGet:
			s := "get(" + span(op.Key, op.End)
			if op.Limit > 0 {
				s += fmt.Sprintf(",limit %d", op.Limit)
			}
			out = append(out, s+")")
		case kv.OpDelete:
			out = append(out, "delete("+span(op.Key, op.End)+")")
		}
	}
	return out
}

func rangeText(r kv.RangeRequest) string {
	s := span(r.Key, r.End)
	if r.Revision != 0 {
		s += fmt.Sprintf(" at %d", r.Revision)
	}
	if r.Limit != 0 {
		s += fmt.Sprintf(" limit %d", r.Limit)
	}
	if r.KeysOnly {
		s += " keys"
	}
	if r.CountOnly {
		s += " count"
	}
	if r.Serializable {
		s += " serializable"
	}
	return s
}

func responseText(r kv.WatchResponse) string {
	if r.Err != nil {
		s := errorName(r.Err)
		if r.CompactRevision != 0 {
			s += fmt.Sprintf(" at %d", r.CompactRevision)
		}
		return s
	}
	if len(r.Events) == 0 {
		return fmt.Sprintf("progress %d", r.Header.Revision)
	}
	var parts []string
	rev := int64(0)
	for _, e := range r.Events {
		if e.KV.ModRevision != rev {
			rev = e.KV.ModRevision
			parts = append(parts, fmt.Sprintf("rev %d:", rev))
		}
		if e.Delete {
			parts = append(parts, "delete("+text(e.KV.Key)+")")
		} else {
			parts = append(parts, fmt.Sprintf("put(%s,%dB)", text(e.KV.Key), len(e.KV.Value)))
		}
	}
	return strings.Join(parts, " ")
}

func txnOutcome(r kv.TxnResult) string {
	s := "ok"
	if !r.Succeeded {
		s = "else"
	}
	s += fmt.Sprintf(" rev %d", r.Header.Revision)
	if r.Deleted > 0 {
		s += fmt.Sprintf(" deleted %d", r.Deleted)
	}
	if len(r.Gets) > 0 {
		counts := make([]int, len(r.Gets))
		for i, g := range r.Gets {
			counts[i] = len(g)
		}
		s += fmt.Sprintf(" gets %v", counts)
	}
	return s
}

func rangeOutcome(r kv.RangeResult) string {
	return fmt.Sprintf("%d of %d rev %d", len(r.KVs), r.Count, r.Header.Revision)
}

// errorName is the error's sentinels, without the texts that vary between implementations.
func errorName(err error) string {
	var names []string
	for _, s := range []struct {
		err  error
		name string
	}{
		{kv.ErrCompacted, "compacted"}, {kv.ErrFuture, "future"}, {kv.ErrTooLarge, "too large"},
		{kv.ErrDenied, "denied"}, {kv.ErrNoSpace, "no space"}, {kv.ErrLeaseNotFound, "lease not found"},
		{kv.ErrUnavailable, "unavailable"}, {context.Canceled, "canceled"}, {context.DeadlineExceeded, "deadline"},
	} {
		if errors.Is(err, s.err) {
			names = append(names, s.name)
		}
	}
	if len(names) == 0 {
		return "error"
	}
	return strings.Join(names, ", ")
}
