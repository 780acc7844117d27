package agent

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"wadi/agent/api"
	"wadi/agent/fetch"
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
	topic := uint64(0)
	p.view.Read(func(s *state.State) {
		if t := s.Topic(q.Get("topic")); t != nil {
			topic = t.Number
		}
	})
	list, err := p.log.Locate(r.Context(), topic, int32(partition), offset, maxLocated)
	switch {
	case errors.Is(err, api.ErrUnknownTopic):
		http.Error(w, "no such topic or partition", http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	runs := make([]located, len(list))
	for i, x := range list {
		runs[i] = locatedIn(p.objects, x)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"runs": runs}) // the reader is gone, or it has it
}

func locatedIn(objects layout.Objects, x fetch.Location) located {
	run := x.Run
	l := located{Base: run.Base, Last: run.Last, Place: "object", Offset: run.Offset, Length: run.Length}
	if x.Object.Kind != 0 {
		l.Key = x.Object.Key(objects)
	}
	switch {
	case run.Marker():
		l.Place, l.Offset, l.Length = "abort", 0, 0
		if run.MarkerCommits() {
			l.Place = "commit"
		}
	case run.Inline():
		l.Place, l.Position = "inline", int64(run.Place)
	}
	return l
}
