// Package rendezvous spreads work over whoever is there, without a word between them: each piece of work goes to the one
// with the highest score for it (rendezvous hashing). When somebody comes or goes, only that one's share moves.
package rendezvous

// Mix is the finalizer of splitmix64: every bit of x changes half of the result's.
func Mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Score is how much a piece of work prefers somebody. work is spread already, as by Mix.
func Score(work, member uint64) uint64 { return Mix(work ^ Mix(member)) }

// Winner is the index of the member with the highest score for a piece of work, -1 when there is none. Members differ.
func Winner[M ~int64](work uint64, members []M) int {
	best, winner := uint64(0), -1
	for i, m := range members {
		if s := Score(work, uint64(m)); winner < 0 || s > best || s == best && m < members[winner] {
			best, winner = s, i
		}
	}
	return winner
}
