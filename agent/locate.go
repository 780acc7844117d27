package agent

import (
	"encoding/json"
	"net/http"
	"strconv"

	"wadi/internal/layout"
	"wadi/metadata/state"
)

// located says where a run's bytes lie. Those of a transaction's marker lie nowhere: State alone holds it.
type located struct {
	Base     int64  `json:"base"`
	Last     int64  `json:"last"`
	Place    string `json:"place"` // "inline", "object", "commit" or "abort"
	Position int64  `json:"position,omitempty"`
	Key      string `json:"key,omitempty"`
	Offset   uint32 `json:"offset"`
	Length   uint32 `json:"length"`
}

const maxLocated = 1000

// locate answers ?topic=T&partition=P&offset=O with the runs from that offset on.
func (a *Agent) locate(w http.ResponseWriter, r *http.Request) {
	p := a.running.Load()
	if p == nil {
		http.Error(w, *a.reason.Load(), http.StatusServiceUnavailable)
		return
	}
	q := r.URL.Query()
	partition, err1 := strconv.ParseInt(q.Get("partition"), 10, 32)
	offset, err2 := strconv.ParseInt(q.Get("offset"), 10, 64)
	if err1 != nil || err2 != nil {
		http.Error(w, "partition and offset must be numbers", http.StatusBadRequest)
		return
	}
	runs, found := []located{}, false
	p.view.Read(func(s *state.State) {
		t := s.Topic(q.Get("topic"))
		if t == nil || t.Partition(int32(partition)) == nil {
			return
		}
		found = true
		for _, run := range t.Partition(int32(partition)).RunsFrom(offset, maxLocated, 1<<62, nil) {
			runs = append(runs, locatedIn(s, p.objects, run))
		}
	})
	if !found {
		http.Error(w, "no such topic or partition", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"runs": runs}) // the reader is gone, or it has it
}

func locatedIn(s *state.State, objects layout.Objects, run state.Run) located {
	l := located{Base: run.Base, Last: run.Last, Place: "object", Offset: run.Offset, Length: run.Length}
	switch {
	case run.Marker():
		l.Place, l.Offset, l.Length = "abort", 0, 0
		if run.MarkerCommits() {
			l.Place = "commit"
		}
	case run.Inline():
		l.Place, l.Position = "inline", int64(run.Place)
		if o, _, ok := s.Archive(l.Position); ok {
			l.Key = o.Key(objects)
		}
	default:
		if o, ok := s.Object(run.Place); ok {
			l.Key = o.Key(objects)
		}
	}
	return l
}
