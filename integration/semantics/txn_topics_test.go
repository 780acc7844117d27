package semantics

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Semantics line 82: a topic that is deleted, or made anew, while a transaction is open on it takes no part in the end:
// no marker, no record and no position gets into the new one.
func TestLine82DeletedTopics(t *testing.T) {
	t.Parallel()
	n := shared(t)
	bothVersions(t, func(t *testing.T, tv int) {
		c := dial(t, n)
		for _, commit := range []bool{true, false} {
			name := func(s string) string { return fmt.Sprint("line82-", s, "-", tv, "-", commit) }
			stays, goes, again := create(c, name("stays"), 1), create(c, name("goes"), 1), create(c, name("again"), 1)
			x := transactorOf(t, n, tv, name("id"))
			for _, to := range []topic{stays, goes, again} {
				x.puts(to, 0, "in the transaction")
				x.moves(name("group"), to, 0, 9)
			}
			remove(c, goes.name)
			remove(c, again.name)
			again = create(c, again.name, 1)
			stored(c, again, plain("of the new life"), 0)
			lso, next := stable(c, again, 0)
			require.Equal(t, []int64{1, 1}, []int64{lso, next}, "the open transaction is not here")
			x.ends(commit)

			lso, next = stable(c, stays, 0)
			require.Equal(t, []int64{2, 2}, []int64{lso, next})
			lso, next = stable(c, again, 0)
			require.Equal(t, []int64{1, 1}, []int64{lso, next}, "a marker in the new life")
			require.Equal(t, []string{"of the new life"}, committedValues(c, again, 0))
			require.EqualValues(t, -1, committed(c, name("group"), again, 0).Offset)
			offset, values := int64(-1), []string(nil)
			if commit {
				offset, values = 9, []string{"in the transaction"}
			}
			require.Equal(t, offset, committed(c, name("group"), stays, 0).Offset)
			require.Equal(t, values, committedValues(c, stays, 0))

			clear(x.next) // the producer goes on, in the new life too, where it begins anew
			x.puts(again, 0, "next")
			x.ends(true)
			require.Equal(t, []string{"of the new life", "next"}, committedValues(c, again, 0))
		}
	})
}
