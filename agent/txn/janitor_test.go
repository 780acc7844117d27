package txn

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var (
	limits = JanitorConfig{
		Margin: 5 * time.Second, Patience: 20 * time.Second, Gap: 20 * time.Second, Retry: 5 * time.Second, Limit: 3,
	}
	midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const sec = time.Second

// seen is a look at transactions, at a time of day that is now after midnight, unless blind.
func (j *Janitor) seen(now time.Duration, blind bool, open ...Open) (ended []uint64) {
	wall := midnight.Add(now)
	if blind {
		wall = time.Time{}
	}
	j.Look(now, wall)
	for _, o := range open {
		j.See(o)
	}
	due, _ := j.Due()
	for _, o := range due {
		ended = append(ended, o.Number)
	}
	return ended
}

func opened(number uint64, began int64, at, timeout time.Duration) Open {
	return Open{Number: number, Began: began, BeganAt: midnight.Add(at), Timeout: timeout}
}

// A transaction that the agent saw begin is overdue by the monotonic clock alone, whatever the time of day is said to be.
func TestSeenToBegin(t *testing.T) {
	j := NewJanitor(limits)
	require.Empty(t, j.seen(0, false))
	o := opened(1, 10, -1000*sec, 60*sec) // the clock of the agent that proposed it is far behind
	require.Empty(t, j.seen(10*sec, false, o))
	require.Empty(t, j.seen(60*sec, false, o))
	require.Equal(t, 50*sec, j.Oldest())
	require.Equal(t, []uint64{1}, j.seen(70*sec, false, o))
	require.Empty(t, j.seen(80*sec, false, o), "it is being ended")
	j.Done(80*sec, o)
	require.Empty(t, j.seen(84*sec, false, o))
	require.Equal(t, []uint64{1}, j.seen(85*sec, false, o), "it was not")
	j.Done(85*sec, o)
	next := opened(1, 99, 85*sec, 60*sec) // the next one of the same id has its whole time
	require.Empty(t, j.seen(90*sec, false, next))
	require.Empty(t, j.seen(149*sec, false, next))
	require.Equal(t, []uint64{1}, j.seen(150*sec, false, next))
	require.Empty(t, j.seen(160*sec, false))
	require.Zero(t, j.Oldest())
}

// A look may come past a transaction twice, or miss it: neither is a reason to end it twice, or to time it anew.
func TestSeenTwiceOrNotAtAll(t *testing.T) {
	j := NewJanitor(limits)
	j.seen(0, false)
	o := opened(1, 10, 10*sec, 60*sec)
	require.Empty(t, j.seen(10*sec, false, o, o))
	require.Empty(t, j.seen(20*sec, false))
	require.Equal(t, []uint64{1}, j.seen(70*sec, false, o, o))
	j.Done(70*sec, o)
	require.Empty(t, j.seen(80*sec, false))
	require.Empty(t, j.seen(90*sec, false))
	require.Empty(t, j.open)
}

// One that was open when the agent came is overdue by the time of day too, with a margin; without a clock it has its
// whole time again.
func TestFoundOpen(t *testing.T) {
	o := opened(1, 10, 0, 60*sec)
	j := NewJanitor(limits)
	require.True(t, j.WantsWall())
	require.Empty(t, j.seen(50*sec, false, o))
	require.True(t, j.WantsWall())
	require.Equal(t, 50*sec, j.Oldest())
	require.Empty(t, j.seen(64*sec, false, o))
	require.Equal(t, []uint64{1}, j.seen(65*sec, false, o))
	require.False(t, j.WantsWall())

	j = NewJanitor(limits)
	require.Empty(t, j.seen(50*sec, true, o))
	require.Empty(t, j.seen(109*sec, true, o))
	require.Equal(t, []uint64{1}, j.seen(110*sec, true, o))

	j = NewJanitor(limits)
	require.Equal(t, []uint64{1}, j.seen(1000*sec, false, o), "overdue long before the agent came")

	j = NewJanitor(limits) // an agent that has not looked for long does not know when things began
	require.Empty(t, j.seen(0, false))
	require.Equal(t, []uint64{1}, j.seen(65*sec, false, o))
}

// The agents behind the coordinator of an id wait, each for its turn, and one without a session does nothing.
func TestStandIns(t *testing.T) {
	for rank, want := range map[int]time.Duration{0: 60 * sec, 1: 80 * sec, 2: 100 * sec, -1: 0} {
		j := NewJanitor(limits)
		o := opened(1, 10, 0, 60*sec)
		o.Rank = rank
		j.seen(0, false)
		ended := time.Duration(0)
		for now := time.Duration(0); now < 300*sec && ended == 0; now += 5 * sec {
			if len(j.seen(now, false, o)) > 0 {
				ended = now
			}
		}
		require.Equal(t, want, ended, "rank %d", rank)
	}
}

// After one look only so many are ended, the longest overdue first.
func TestBoundedEnds(t *testing.T) {
	j := NewJanitor(limits)
	j.seen(0, false)
	all := []Open{opened(1, 15, 0, 60*sec), opened(2, 14, 0, 50*sec), opened(3, 13, 0, 60*sec), opened(4, 12, 0, 60*sec), opened(5, 11, 0, 60*sec)}
	require.Empty(t, j.seen(0, false, all...))
	require.Equal(t, []uint64{2}, j.seen(55*sec, false, all...))
	j.Look(60*sec, time.Time{})
	for _, o := range all {
		j.See(o)
	}
	due, more := j.Due()
	require.True(t, more)
	require.Equal(t, []int64{11, 12, 13}, []int64{due[0].Began, due[1].Began, due[2].Began})
	require.Equal(t, []uint64{1}, j.seen(60*sec, false, all...))
}

// Semantics line 81: no transaction is open for good, however agents are restarted
// one after the other, frozen, or told wrong times; and none is ended before its time.
func TestNothingHangs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const agents, look = 3, 5 * sec
		timeout := time.Duration(rapid.IntRange(10, 120).Draw(t, "timeout")) * sec
		restart := time.Duration(rapid.IntRange(8, 200).Draw(t, "restart")) * sec // of one agent after the other
		janitors, came := [agents]*Janitor{}, [agents]time.Duration{}
		began := time.Duration(rapid.IntRange(0, 100).Draw(t, "began")) * sec
		o := opened(1, 10, began, timeout)
		turn := 0
		for now := time.Duration(0); ; now += look {
			if now >= time.Duration(turn+1)*restart {
				janitors[turn%agents] = nil
				came[turn%agents] = now + 2*sec
				turn++
			}
			for i := range janitors {
				if now < came[i] {
					continue
				}
				if janitors[i] == nil {
					janitors[i] = NewJanitor(limits)
				}
				if rapid.IntRange(0, 9).Draw(t, "frozen") == 0 {
					continue
				}
				o.Rank = i
				var open []Open
				if now >= began {
					open = append(open, o)
				}
				ended := janitors[i].seen(now, rapid.IntRange(0, 9).Draw(t, "blind") == 0, open...)
				for range ended {
					if now-began < timeout {
						t.Fatalf("agent %d ends it after %v of %v", i, now-began, timeout)
					}
					if rapid.IntRange(0, 3).Draw(t, "lost") > 0 {
						return
					}
					janitors[i].Done(now, o)
				}
			}
			if now > began+timeout+10*time.Minute {
				t.Fatalf("open after %v, agents restart every %v", now-began, restart)
			}
		}
	})
}
