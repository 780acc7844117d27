package kafkaconfig

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/kafka-configs.md anew")

const page = "../../docs/kafka-configs.md"

// docs/kafka-configs.md lists every config with its meaning here. Run with -update after a change.
func TestPageListsEveryConfig(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	fresh := string(text)
	for name, c := range map[string]*Catalogue{"topics": Topics, "brokers": Brokers, "groups": Groups, "metrics": Metrics} {
		begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
		from, to := strings.Index(fresh, begin), strings.Index(fresh, end)
		if from < 0 || to < from {
			t.Fatalf("the page has no %q", strings.TrimSpace(begin))
		}
		fresh = fresh[:from+len(begin)] + rows(c) + fresh[to:]
	}
	if *update {
		if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if fresh != string(text) {
		t.Error("docs/kafka-configs.md differs from the catalogues: run this test with -update")
	}
}

func rows(c *Catalogue) string {
	var b strings.Builder
	b.WriteString("| Config | Default | Change | Acts | Meaning |\n|---|---|---|---|---|\n")
	for _, k := range c.Keys {
		def, acts, change := "`"+k.Default+"`", "", "any time"
		if k.Acts {
			acts = "yes"
		}
		switch {
		case k.Null:
			def = "none"
		case k.Default == "":
			def = "empty"
		}
		if c == Brokers {
			change = [...]string{ReadOnly: "no", PerBroker: "not here", ClusterWide: "any time"}[k.Mode]
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, def, change, acts, k.Doc)
	}
	return b.String()
}
