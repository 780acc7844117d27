package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

type fileValue struct {
	key   string
	value value
}

// parseYAML flattens a document: {flush: {bytes: 1MiB}} and {flush.bytes: 1MiB} are the same key. known tells keys
// from groups of keys.
func parseYAML(data []byte, source string, known func(string) bool) ([]fileValue, Problems) {
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(data), yaml.Parser()); err != nil {
		return nil, Problems{{Key: source, Text: "is not YAML: " + strings.ReplaceAll(err.Error(), "\n", " ")}}
	}
	w := walker{source: source, known: known, seen: make(map[string]bool)}
	w.walk("", k.Raw())
	return w.values, w.problems
}

type walker struct {
	source   string
	known    func(string) bool
	seen     map[string]bool
	values   []fileValue
	problems Problems
}

// walk goes through the keys in order, so that the same file gives the same report.
func (w *walker) walk(prefix string, group map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(group)) {
		path := prefix + name
		if sub, ok := group[name].(map[string]any); ok && !w.known(path) && len(sub) > 0 {
			w.walk(path+".", sub)
			continue
		}
		if w.seen[path] {
			w.problem(path, "", "is given twice, once as a dotted key and once inside a group")
			continue
		}
		w.seen[path] = true
		w.take(path, group[name])
	}
}

func (w *walker) take(path string, raw any) {
	if !w.known(path) {
		w.values = append(w.values, fileValue{path, value{text: text(raw)}}) // Load reports it, with a suggestion
		return
	}
	switch v := raw.(type) {
	case nil:
		w.problem(path, "", `has no value; write "" for an empty one`)
	case map[string]any:
		w.problem(path, "", "takes a value, not a group of keys")
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			if _, nested := item.(map[string]any); nested || item == nil {
				w.problem(path, "", "takes a list of plain values")
				return
			}
			items[i] = text(item)
		}
		w.values = append(w.values, fileValue{path, value{text: strings.Join(items, ","), list: items, many: true}})
	default:
		w.values = append(w.values, fileValue{path, value{text: text(v), kind: kind(v)}})
	}
}

func (w *walker) problem(key, val, what string) {
	w.problems = append(w.problems, Problem{Key: key, Value: val, Source: w.source, Text: what})
}

func kind(raw any) string {
	switch raw.(type) {
	case string:
		return ""
	case bool:
		return "boolean"
	case int, int64, uint64, float64:
		return "number"
	}
	return fmt.Sprintf("%T", raw)
}

func text(raw any) string {
	if raw == nil {
		return ""
	}
	return fmt.Sprint(raw)
}
