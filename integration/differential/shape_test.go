package differential

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// node is an answer in the form in which it is compared: a value, or named parts.
type node struct {
	value string
	order []string
	parts map[string]*node
}

func leaf(value string) *node { return &node{value: value} }

func (n *node) add(name string, part *node) {
	if n.parts == nil {
		n.parts = map[string]*node{}
	}
	n.order = append(n.order, name)
	n.parts[name] = part
}

// difference is one field that two brokers answer differently.
type difference struct {
	path        string
	kafka, wadi string
}

const absent = "absent"

// compare lists what differs. A part that only one side has is one difference, whatever lies beneath it.
func compare(path string, kafka, wadi *node, found []difference) []difference {
	if kafka.value != wadi.value {
		return append(found, difference{path, kafka.value, wadi.value})
	}
	for _, name := range kafka.order {
		at := join(path, name)
		if other := wadi.parts[name]; other != nil {
			found = compare(at, kafka.parts[name], other, found)
		} else {
			found = append(found, difference{at, "present", absent})
		}
	}
	for _, name := range wadi.order {
		if kafka.parts[name] == nil {
			found = append(found, difference{join(path, name), absent, "present"})
		}
	}
	return found
}

func join(path, name string) string {
	if path == "" || strings.HasPrefix(name, "{") || strings.HasPrefix(name, "[") {
		return path + name
	}
	return path + "." + name
}

// keys are the fields that name an element of a list, tried in this order; a topic's id counts where it has no name. Apache Kafka lists topics and the like in the
// order of its hash maps: lists of such elements are compared without their order. Lists of other elements keep theirs.
var keys = [][]string{
	{"Topic", "TopicID"}, {"Topic"}, {"TopicID"}, {"Dir"}, {"Partition"}, {"ResourceType", "ResourceName"}, {"Name"}, {"Key"}, {"Group"}, {"MemberID"}, {"ApiKey"}, {"TransactionalID"}, {"ProducerID"},
	{"NodeID"},
}

// ordered are the elements whose order means something although they have a name.
var ordered = []string{"ConfigSynonym"}

// shape makes a node of an answer, with every value named by the rules of normal_test.go.
func (n *naming) shape(v any) *node { return n.of(reflect.ValueOf(v), "", "") }

// of makes a node of v, which is field of a struct called kind.
func (n *naming) of(v reflect.Value, kind, field string) *node {
	if named, ok := n.named(v.Interface(), kind, field); ok {
		return named
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return leaf("null")
		}
		return n.of(v.Elem(), kind, field)
	case reflect.Struct:
		return n.ofStruct(v)
	case reflect.Slice:
		return n.ofList(v, kind, field)
	case reflect.String:
		return leaf(n.text(v.String()))
	default:
		return leaf(fmt.Sprint(v.Interface()))
	}
}

func (n *naming) ofStruct(v reflect.Value) *node {
	out := &node{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "Version" || f.Name == "UnknownTags" {
			continue // the version asked for; tags of fields that kmsg does not know
		}
		out.add(f.Name, n.of(v.Field(i), v.Type().Name(), f.Name))
	}
	return out
}

func (n *naming) ofList(v reflect.Value, kind, field string) *node {
	if v.IsNil() {
		return leaf("none") // kmsg reads null as this, and an empty list where the schema allows no null
	}
	if v.Len() == 0 {
		return leaf("empty")
	}
	out := &node{value: "a list"}
	seen := map[string]int{}
	for i := range v.Len() {
		name := fmt.Sprintf("[%d]", i)
		if key, ok := n.key(v.Index(i)); ok {
			seen[key]++
			if name = "{" + key + "}"; seen[key] > 1 {
				name = fmt.Sprintf("{%s #%d}", key, seen[key])
			}
		}
		out.add(name, n.of(v.Index(i), kind, field))
	}
	return out
}

// key names an element of a list.
func (n *naming) key(v reflect.Value) (string, bool) {
	if v.Kind() != reflect.Struct || slices.ContainsFunc(ordered, func(s string) bool { return strings.HasSuffix(v.Type().Name(), s) }) {
		return "", false
	}
next:
	for _, fields := range keys {
		var words []string
		for _, f := range fields {
			at := v.FieldByName(f)
			if !at.IsValid() {
				continue next
			}
			if f == "TopicID" && len(words) > 0 {
				continue
			}
			if word := strings.TrimPrefix(n.of(at, v.Type().Name(), f).value, idOf); !empty(word) {
				words = append(words, word)
			}
		}
		return strings.Join(words, " "), true
	}
	return "", false
}

func empty(value string) bool {
	return value == "" || value == `""` || value == "null" || value == zeroID
}
