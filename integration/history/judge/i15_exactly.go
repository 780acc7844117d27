package judge

import h "wadi/integration/history"

// exactlyOnce: I15. What transactions made from a topic's records is, in the end, one visible record for each visible
// record of it, whatever was aborted or killed. That one is missing counts when the run says that all were processed.
func exactlyOnce(x *index, r *Result) {
	made := map[string]*send{}
	inputs := map[string]bool{}
	for _, s := range x.sends {
		source := x.byValue[s.attempt.Source]
		if s.attempt.Source == "" || source == nil {
			continue
		}
		inputs[source.attempt.Topic] = true
		if !x.visible[s.attempt.Value] {
			continue
		}
		if other := made[s.attempt.Source]; other != nil {
			r.violation("I15", []int64{other.attempt.N, s.attempt.N}, "%s was processed twice: %s and %s",
				brief(s.attempt.Source), brief(other.attempt.Value), brief(s.attempt.Value))
		}
		made[s.attempt.Source] = s
	}
	finished := false
	for i := range x.facts {
		f := &x.facts[i]
		finished = finished || f.Kind == h.Probe && f.Name == Processed && f.Outcome == h.OK
	}
	for _, s := range x.sends {
		if !inputs[s.attempt.Topic] || !x.visible[s.attempt.Value] {
			continue
		}
		r.judged("I15", 1)
		if made[s.attempt.Value] == nil && finished {
			r.violation("I15", []int64{s.attempt.N}, "%s is visible and was never processed", brief(s.attempt.Value))
		}
	}
}

// Processed is the probe that says that all records were processed that transactions consume.
const Processed = "everything is processed"
