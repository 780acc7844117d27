package api

import (
	"encoding/binary"

	"wadi/internal/rendezvous"
)

// Routing is rendezvous hashing: every agent computes the same leader for a partition and the same coordinator for a
// group from the same list of brokers, and a change of the list moves only what the changed broker had. Correctness
// never depends on it, as every agent accepts everything; caches do. The hash is part of the protocol between agents
// of different releases, so it must not change.

// key is what is placed: 64 bits of a topic id and partition, or of a name.
type placeKey uint64

func partitionKey(id [16]byte, partition int32) placeKey {
	h := rendezvous.Mix(binary.BigEndian.Uint64(id[:8]))
	h = rendezvous.Mix(h ^ binary.BigEndian.Uint64(id[8:]))
	return placeKey(rendezvous.Mix(h ^ uint64(uint32(partition))))
}

// nameKey hashes with FNV-1a.
func nameKey(kind int8, name string) placeKey {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(uint8(kind))) * 1099511628211
	for _, c := range []byte(name) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return placeKey(rendezvous.Mix(h))
}

// maxReplicas is how many brokers are listed for a partition: its leader and its stand-ins.
const maxReplicas = 3

// place appends to dst the n brokers with the highest scores for k, best first: the leader and its stand-ins.
func place(k placeKey, brokers []Broker, n int, dst []int32) []int32 {
	var score [maxReplicas]uint64
	n = min(n, len(score), len(brokers))
	start := len(dst)
	for _, b := range brokers {
		s := rendezvous.Score(uint64(k), uint64(uint32(b.NodeID)))
		at := len(dst) - start
		for at > 0 && score[at-1] < s {
			at--
		}
		if at >= n {
			continue
		}
		if len(dst)-start < n {
			dst = append(dst, 0)
		}
		list := dst[start:]
		copy(list[at+1:], list[at:])
		copy(score[at+1:], score[at:])
		list[at], score[at] = b.NodeID, s
	}
	return dst
}

// GroupCoordinator is the broker that coordinates a group, by this list of them; false when it is empty.
func GroupCoordinator(name string, brokers []Broker) (Broker, bool) {
	return coordinator(0, name, brokers)
}

// TxnCoordinator is the broker that coordinates a transactional id, by this list of them; false when it is empty.
func TxnCoordinator(id string, brokers []Broker) (Broker, bool) { return coordinator(1, id, brokers) }

// TxnRank is a broker's place among those for a transactional id: 0 coordinates it, the next ones stand in, and those
// behind them all come last.
func TxnRank(id string, brokers []Broker, node int32) int {
	var best [maxReplicas]int32
	for rank, n := range place(nameKey(1, id), brokers, maxReplicas, best[:0]) {
		if n == node {
			return rank
		}
	}
	return maxReplicas
}

// coordinator is the broker for a group or transactional id, false when no broker is known.
func coordinator(kind int8, name string, brokers []Broker) (Broker, bool) {
	var one [1]int32
	best := place(nameKey(kind, name), brokers, 1, one[:0])
	for _, b := range brokers {
		if len(best) > 0 && b.NodeID == best[0] {
			return b, true
		}
	}
	return Broker{}, false
}
