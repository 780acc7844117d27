package checkpoint

import (
	"errors"
	"fmt"
	"sync"

	pb "wadi/metadata/metadatapb"
	"wadi/metadata/state"
)

// ErrDiverged: this agent's State at the pointer's mark is not the one that the checkpoint holds. Its program or its
// memory is at fault; it must stop serving.
var ErrDiverged = errors.New("the state differs from the checkpoint's")

// keptDigests is how many marks an agent remembers: more than the pointer can lag behind.
const keptDigests = 64

// ownDigests remembers the digests at the newest marks.
type ownDigests struct {
	sync.Mutex
	at    map[int64]state.Digest
	order []int64 // positions, rising
}

func (o *ownDigests) keep(position int64, d state.Digest) {
	o.Lock()
	defer o.Unlock()
	if o.at == nil {
		o.at = map[int64]state.Digest{}
	}
	if _, ok := o.at[position]; !ok {
		o.order = append(o.order, position)
	}
	o.at[position] = d
	if len(o.order) > keptDigests {
		delete(o.at, o.order[0])
		o.order = o.order[1:]
	}
}

// compare judges the pointer that is in force against what this agent had at its mark. A mark that it did not apply
// itself, because it loaded a later State, says nothing.
func (o *ownDigests) compare(p *pb.Pointer) error {
	o.Lock()
	defer o.Unlock()
	own, ok := o.at[p.Position]
	if !ok || string(own[:]) == string(p.Digest) {
		return nil
	}
	return fmt.Errorf("%w: at position %d it has digest %s here and %x there", ErrDiverged, p.Position, own, p.Digest)
}
