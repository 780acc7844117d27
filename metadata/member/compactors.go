package member

import (
	"slices"

	"wadi/internal/config"
)

// Compactors is how many live processes take part in the compactor's work, by what each says of itself; 0 = nothing is
// merged, and nothing deleted.
func (m *Member) Compactors() int {
	n := 0
	for _, x := range m.Members.All() {
		if !x.Info.Draining && slices.Contains(x.Info.Roles, string(config.Compactor)) {
			n++
		}
	}
	return n
}
