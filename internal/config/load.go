package config

import (
	"os"
	"strings"
)

// DefaultSource is the source of a value that nobody set.
const DefaultSource = "default"

// Given is one value from a source.
type Given struct {
	Key    string
	Value  string
	Source string // as shown to the user: "--listen"
}

// Input is where Load looks. The zero value gives the defaults.
type Input struct {
	File     string   // path of a YAML file, "" = none
	Environ  []string // NAME=value, as os.Environ returns it; only names that start with WADI_ are looked at
	Flags    []Given  // highest precedence
	Defaults []Given  // replace the built-in defaults; their Source is shown

	// Reserved keys may come from Flags and Defaults alone. The text says what to do instead: "use --listen".
	Reserved map[string]string
	// OwnEtcd: the process runs etcd itself, so etcd.endpoints may be empty.
	OwnEtcd bool
	// NoClients: the process serves none, so what listeners say is not its affair.
	NoClients bool
}

// Setting is one key as it is in force.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// Loaded is a checked configuration and where each value came from, in the order of Keys.
type Loaded struct {
	Config   Config
	Settings []Setting
}

// Load reads all sources. A non-nil error is of type Problems, except that it never is for a file that is merely empty.
func Load(in Input) (*Loaded, error) {
	l := newLoader(in)
	for _, k := range l.keys {
		l.apply(k.Name, value{text: k.Default}, DefaultSource)
	}
	for _, g := range in.Defaults {
		l.apply(g.Key, value{text: g.Value}, g.Source)
	}
	l.file(in.File)
	l.environ(in.Environ)
	for _, g := range in.Flags {
		l.apply(g.Key, value{text: g.Value}, g.Source)
	}
	l.relations(in)
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return &Loaded{Config: l.config, Settings: l.settings()}, nil
}

type loader struct {
	keys     []Key
	byName   map[string]*Key
	reserved map[string]string
	config   Config
	source   map[string]string // of the value in force
	bad      map[string]bool   // keys with a value that could not be taken: relations do not look at them
	problems Problems
}

func newLoader(in Input) *loader {
	l := &loader{
		keys:     Keys(),
		byName:   make(map[string]*Key),
		reserved: in.Reserved,
		source:   make(map[string]string),
		bad:      make(map[string]bool),
	}
	for i := range l.keys {
		l.byName[l.keys[i].Name] = &l.keys[i]
	}
	return l
}

// apply takes one value. A problem is reported even when a source of higher precedence will replace the value: it is
// wrong where it stands and would come into force when the other one is removed.
func (l *loader) apply(name string, v value, source string) {
	k := l.byName[name]
	if k == nil {
		l.unknown(name, v.text, source)
		return
	}
	if err := k.set(&l.config, v); err != nil {
		l.bad[name] = true
		l.problem(name, v.text, source, err.Error())
		return
	}
	l.source[name] = source
}

// refuseReserved reports a reserved key that the file or the environment sets.
func (l *loader) refuseReserved(key, text, source string) bool {
	hint, ok := l.reserved[key]
	if ok {
		l.problem(key, text, source, "is not taken from here; "+hint)
	}
	return ok
}

func (l *loader) environ(environ []string) {
	keys := make(map[string]string, len(l.keys))
	names := make([]string, 0, len(l.keys))
	for _, k := range l.keys {
		keys[k.Env()] = k.Name
		names = append(names, k.Env())
	}
	for _, entry := range sorted(environ) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		key, ok := keys[name]
		switch {
		case !ok:
			l.problem(name, text, "environment", "is not a variable that Wadi reads"+didYouMean(name, names))
		case !l.refuseReserved(key, text, name):
			l.apply(key, value{text: text}, name)
		}
	}
}

func (l *loader) file(path string) {
	if path == "" {
		return
	}
	source := "file " + path
	data, err := os.ReadFile(path)
	if err != nil {
		l.problem(path, "", "", "the configuration file cannot be read: "+err.Error())
		return
	}
	values, problems := parseYAML(data, source, func(name string) bool { return l.byName[name] != nil })
	l.problems = append(l.problems, problems...)
	for _, f := range values {
		if !l.refuseReserved(f.key, f.value.text, source) {
			l.apply(f.key, f.value, source)
		}
	}
}

func (l *loader) unknown(name, text, source string) {
	names := make([]string, len(l.keys))
	for i, k := range l.keys {
		names[i] = k.Name
	}
	l.problem(name, text, source, "is not a configuration key"+didYouMean(name, names))
}

func (l *loader) problem(key, text, source, what string) {
	l.problems = append(l.problems, Problem{Key: key, Value: Redact(text), Source: source, Text: what})
}

func (l *loader) settings() []Setting {
	out := make([]Setting, len(l.keys))
	for i, k := range l.keys {
		out[i] = Setting{Key: k.Name, Value: k.show(&l.config), Source: l.source[k.Name]}
	}
	return out
}
