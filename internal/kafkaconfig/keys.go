package kafkaconfig

import "slices"

// Kind is a config's type, by Kafka's numbers in DescribeConfigs.
type Kind int8

const (
	Boolean  Kind = 1
	String   Kind = 2
	Int      Kind = 3
	Short    Kind = 4
	Long     Kind = 5
	Double   Kind = 6
	List     Kind = 7
	Class    Kind = 8
	Password Kind = 9 // its value is never shown
)

var kindNames = [...]string{"", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"}

// String is Kafka's name of the type.
func (k Kind) String() string {
	if k >= Boolean && k <= Password {
		return kindNames[k]
	}
	return "UNKNOWN"
}

// Mode says how a broker config can change while brokers run.
type Mode int8

const (
	ReadOnly    Mode = iota // only in the agent's own configuration, or not at all
	PerBroker               // for one broker. All of these are about listeners, which Wadi's agents take from their own configuration
	ClusterWide             // for one broker or for all of them
)

// Key is one config.
type Key struct {
	Name    string
	Kind    Kind
	Default string
	Null    bool // there is no default value; Default is ""
	// Acts says that Wadi's behaviour depends on it.
	Acts bool
	// Broker is the broker config that this one's default comes from, "" when there is none. Topics and groups only.
	Broker string
	// Mode is how it can change. Brokers only: everything else can always be set.
	Mode Mode
	// Unlisted configs are shown only where they are set.
	Unlisted bool
	Doc      string

	rule rule // nil: any value of the kind
}

// Sensitive configs are shown without their value.
func (k *Key) Sensitive() bool { return k.Kind == Password }

// Catalogue is the configs of one kind of resource, sorted by name.
type Catalogue struct {
	Keys   []Key
	what   string // a config of it, for messages
	byName map[string]*Key
}

func newCatalogue(what string, keys ...Key) *Catalogue {
	slices.SortFunc(keys, func(a, b Key) int { return compareNames(a.Name, b.Name) })
	c := &Catalogue{Keys: keys, what: what, byName: make(map[string]*Key, len(keys))}
	for i := range keys {
		c.byName[keys[i].Name] = &keys[i]
	}
	return c
}

func compareNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Lookup finds a config by name.
func (c *Catalogue) Lookup(name string) (*Key, bool) {
	k, ok := c.byName[name]
	return k, ok
}

// IsList reports whether elements can be appended to a config's value and taken out of it.
func (c *Catalogue) IsList(name string) bool {
	k, ok := c.byName[name]
	return ok && k.Kind == List
}

// none marks a config without a default value.
const none = "\x00none"

// row is a line of a table: name, kind, default, rule, mode, documentation. A documentation that starts with an
// exclamation mark belongs to a config that acts; any other one is followed by the table's note, which says why nothing
// depends on it.
type row struct {
	name  string
	kind  Kind
	value string
	rule  rule
	mode  Mode
	doc   string
}

// table makes keys of rows.
func table(note string, rows []row) []Key {
	keys := make([]Key, len(rows))
	for i, r := range rows {
		k := Key{Name: r.name, Kind: r.kind, Default: r.value, Mode: r.mode, Doc: r.doc, rule: r.rule}
		if r.value == none {
			k.Default, k.Null = "", true
		}
		if k.Doc[0] == '!' {
			k.Doc, k.Acts = k.Doc[1:], true
		} else {
			k.Doc += " " + note
		}
		keys[i] = k
	}
	return keys
}
