package differential

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// versioned is a difference of one run.
type versioned struct {
	version int16
	step    string
	difference
}

// findings is what a whole run of the package found.
type findings struct {
	mu    sync.Mutex
	cases int          // judged
	used  map[int]bool // of allowed
	left  map[int]bool // of open
	// differing are the cases that failed, for the end of the report.
	differing []string
}

// excusedAnywhere: somebody explained a difference.
func excusedAnywhere(key int16, name string, d versioned) bool {
	covers := func(a excuse) bool { return a.covers(key, name, d) }
	return slices.ContainsFunc(allowed, covers) || slices.ContainsFunc(sometimes, covers) || slices.ContainsFunc(open, covers)
}

// judge sorts out what is allowed and describes the rest, steps and versions that differ alike together.
func (f *findings) judge(key int16, name string, diffs []versioned) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cases++
	if f.used == nil {
		f.used, f.left = map[int]bool{}, map[int]bool{}
	}
	type places struct {
		steps    []string
		versions []int16
	}
	alike := map[difference]*places{}
	var order []difference
	for _, d := range diffs {
		if i := slices.IndexFunc(allowed, func(a excuse) bool { return a.covers(key, name, d) }); i >= 0 {
			f.used[i] = true
			continue
		}
		if slices.ContainsFunc(sometimes, func(a excuse) bool { return a.covers(key, name, d) }) {
			continue
		}
		if i := slices.IndexFunc(open, func(a excuse) bool { return a.covers(key, name, d) }); i >= 0 {
			f.left[i] = true
			continue
		}
		at := alike[d.difference]
		if at == nil {
			at = &places{}
			alike[d.difference] = at
			order = append(order, d.difference)
		}
		if !slices.Contains(at.steps, d.step) {
			at.steps = append(at.steps, d.step)
		}
		if !slices.Contains(at.versions, d.version) {
			at.versions = append(at.versions, d.version)
		}
	}
	var list []string
	for _, d := range order {
		at := alike[d]
		slices.Sort(at.versions)
		list = append(list, fmt.Sprintf("%s: %s: Kafka %s, Wadi %s (v%s)",
			strings.Join(at.steps, "; "), or(d.path, "answer"), d.kafka, d.wadi, ranges(at.versions)))
	}
	return list
}

// differs notes a case that failed.
func (f *findings) differs(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.differing = append(f.differing, name)
}

// unused are the entries of a list that were not needed.
func unused(list []excuse, used map[int]bool) []string {
	var rest []string
	for i, a := range list {
		if !used[i] {
			rest = append(rest, fmt.Sprintf("API %d, %q, %s: Kafka %q, Wadi %q", a.api, a.at, a.path, a.kafka, a.wadi))
		}
	}
	return rest
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// ranges prints 3,4,5,9 as 3-5,9.
func ranges(list []int16) string {
	var words []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if word := fmt.Sprint(list[i]); i == j {
			words = append(words, word)
		} else {
			words = append(words, fmt.Sprintf("%s-%d", word, list[j]))
		}
		i = j + 1
	}
	return strings.Join(words, ",")
}

// excuse is a difference that has a reason. In its texts '*' stands for anything.
type excuse struct {
	api         int16  // -1: any
	at          string // "case/step"
	path        string // of the field, as TestAgainstKafka prints it
	kafka, wadi string // the values
	why         string
}

func (a excuse) covers(key int16, name string, d versioned) bool {
	return (a.api == -1 || a.api == key) && match(a.at, name+"/"+d.step) && match(a.path, d.path) &&
		match(a.kafka, d.kafka) && match(a.wadi, d.wadi)
}

// match compares s with a pattern in which '*' stands for any text.
func match(pattern, s string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, first) {
		return false
	}
	for i := len(first); i <= len(s); i++ {
		if match(rest, s[i:]) {
			return true
		}
	}
	return false
}
