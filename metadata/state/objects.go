package state

import (
	"sort"

	"wadi/internal/layout"
	pb "wadi/metadata/metadatapb"
)

// ObjectKind tells which key an object has.
type ObjectKind uint8

const (
	FlushObject ObjectKind = iota + 1
	FlushHedgeObject
	ArchiveObject // N = head Version at its end
	MergedObject
	ManifestObject
)

// Object is one object that runs refer to. Its key follows from Kind, Session and N.
type Object struct {
	Session    layout.Session
	N          uint64
	Kind       ObjectKind
	Size       uint64 // bytes
	Refs       uint64 // runs that lie in it
	Introduced int64  // position of the entry that named it first
	Lost       int64  // position at which the last reference went, 0 = referenced
	LostMs     int64  // the proposer's clock then, Unix milliseconds
}

// Key is the object's key in the store.
func (o Object) Key(keys layout.Objects) string {
	switch o.Kind {
	case FlushObject:
		return keys.Flush(o.Session, o.N)
	case FlushHedgeObject:
		return keys.FlushHedge(o.Session, o.N)
	case ArchiveObject:
		return keys.Checkpoint(layout.Archive, int64(o.N), o.Session, 0)
	case MergedObject:
		return keys.Merged(o.Session, o.N)
	case ManifestObject:
		return keys.Manifest(o.Session, o.N)
	default:
		return ""
	}
}

// Object finds an object by the number that runs carry in Place.
func (s *State) Object(number uint64) (Object, bool) {
	if o := s.objects.get(number); o != nil {
		return *o, true
	}
	return Object{}, false
}

// EachObject visits all objects in the order of their introduction.
func (s *State) EachObject(visit func(number uint64, o Object)) {
	for _, n := range sortedKeys(&s.objects) {
		visit(n, *s.objects.get(n))
	}
}

// objectKinds is one more than the highest kind.
const objectKinds = int(ManifestObject) + 1

// Written is the size of all objects of a kind that were ever introduced, in bytes.
func (s *State) Written(kind ObjectKind) uint64 { return s.written[kind] }

// Appended is the size of all batches that were ever accepted, in bytes, markers excluded.
func (s *State) Appended() uint64 { return s.appended }

// EachGarbage visits the objects without references, in the order of their introduction.
func (s *State) EachGarbage(visit func(number uint64, o Object)) {
	for _, n := range sortedKeys(&s.garbage) {
		visit(n, *s.objects.get(n))
	}
}

// Garbage is what waits for deletion, in objects and bytes.
func (s *State) Garbage() (objects int, bytes int64) { return s.garbage.len(), s.garbageBytes }

// LastLost is the position at which the newest garbage lost its last reference, 0 = there is none.
func (s *State) LastLost() int64 {
	if s.garbage.len() == 0 {
		return 0
	}
	return s.lastLost
}

// Unmerged is what runs lie in that no merge has written anew yet, in flush objects and their bytes.
func (s *State) Unmerged() (objects int, bytes int64) { return s.unmerged, s.unmergedBytes }

// introduce makes a new object known.
func (s *State) introduce(o Object) uint64 {
	s.written[o.Kind] += o.Size
	return s.addObject(o)
}

// addObject makes an object known, as garbage when it has no references.
func (s *State) addObject(o Object) uint64 {
	n := s.nextObject
	s.nextObject++
	s.objects.put(n, o, s.gen)
	s.countObject(o, 1)
	if o.Refs == 0 {
		s.lose(n)
	}
	return n
}

func (s *State) releaseObject(number, refs uint64) {
	o := s.objects.edit(number, s.gen)
	o.Refs -= refs
	if o.Refs == 0 {
		s.countObject(*o, -1)
		s.lose(number)
	}
}

// lose makes an object garbage.
func (s *State) lose(number uint64) {
	o := s.objects.edit(number, s.gen)
	o.Lost, o.LostMs = s.position, s.atMs
	s.addGarbage(number, *o)
}

func (s *State) addGarbage(number uint64, o Object) {
	s.garbage.put(number, struct{}{}, s.gen)
	s.garbageBytes += int64(o.Size)
	s.lastLost = max(s.lastLost, o.Lost)
}

// countObject counts an object that came, or lost its references, among those that are not merged.
func (s *State) countObject(o Object, by int) {
	if o.Kind == FlushObject || o.Kind == FlushHedgeObject {
		s.unmerged += by
		s.unmergedBytes += int64(by) * int64(o.Size)
	}
}

// dropRun releases what a run that goes away refers to.
func (s *State) dropRun(r Run) {
	s.runCount--
	if r.Marker() {
		return
	}
	if !r.Inline() {
		s.releaseObject(r.Place, 1)
		return
	}
	pos := int64(r.Place)
	if a, ok := s.archiveOf(pos); ok {
		s.releaseObject(a.Object, 1)
		return
	}
	e := s.editEpoch(pos)
	e.runs--
	e.bytes -= uint64(r.Length)
}

// archive says that entries with positions in (From, To] lie in an archive object. One without runs is not listed.
type archive struct {
	From, To int64
	Object   uint64
}

// inlineEpoch counts the inline runs between two marks, so that archiving them costs State one addition.
type inlineEpoch struct {
	to    int64 // position of the mark that ended it, 0 = the open one, always the last
	runs  uint64
	bytes uint64
}

// InlineOutstanding is how many inline bytes no archive holds yet.
func (s *State) InlineOutstanding() int64 {
	var n uint64
	for _, e := range s.epochs {
		n += e.bytes
	}
	return int64(n)
}

// ArchivedTo is the position up to which archives hold every entry.
func (s *State) ArchivedTo() int64 { return s.archivedTo }

// Archive finds the object that holds the entry at a position, and the object's number.
func (s *State) Archive(position int64) (Object, uint64, bool) {
	a, ok := s.archiveOf(position)
	if !ok {
		return Object{}, 0, false
	}
	o, ok := s.Object(a.Object)
	return o, a.Object, ok
}

// PendingMarks are the marks behind which no archive has been recorded yet, oldest first.
func (s *State) PendingMarks() []int64 {
	var list []int64
	for _, e := range s.epochs {
		if e.to != 0 {
			list = append(list, e.to)
		}
	}
	return list
}

func (s *State) archiveOf(position int64) (archive, bool) {
	i := sort.Search(len(s.archives), func(i int) bool { return s.archives[i].To >= position })
	if i == len(s.archives) || s.archives[i].From >= position {
		return archive{}, false
	}
	return s.archives[i], true
}

func (s *State) editEpoch(position int64) *inlineEpoch {
	if s.epochsGen != s.gen {
		s.epochs = append([]inlineEpoch(nil), s.epochs...) // a snapshot may hold the old ones
		s.epochsGen = s.gen
	}
	return &s.epochs[s.epochAt(position)]
}

// epochAt is the index of the epoch that the entry at a position, not archived yet, belongs to. It is mostly the last.
func (s *State) epochAt(position int64) int {
	i := len(s.epochs) - 1
	for i > 0 && s.epochs[i-1].to >= position {
		i--
	}
	return i
}

func (s *State) applyMark(res *Result) Code {
	epochs := append(make([]inlineEpoch, 0, len(s.epochs)+1), s.epochs...)
	epochs[len(epochs)-1].to = s.position
	s.epochs, s.epochsGen = append(epochs, inlineEpoch{}), s.gen
	s.lastMark = s.position
	res.ID = s.position
	return OK
}

// applyArchived moves the inline runs of the archived epochs over to the archive object. A repeat is Stale.
func (s *State) applyArchived(c *pb.Archived) Code {
	if c.To <= s.archivedTo {
		return Stale
	}
	last := -1
	for i, e := range s.epochs {
		if e.to != 0 && e.to <= c.To {
			last = i
		}
	}
	switch {
	case c.From != s.archivedTo, last < 0, s.epochs[last].to != c.To:
		return Invalid // archives follow each other without a gap and end at marks
	case c.To >= s.position:
		return Invalid // later commands of this entry may append to what would be archived
	case c.Head < 0:
		return Invalid
	}
	var refs uint64
	for _, e := range s.epochs[:last+1] {
		refs += e.runs
	}
	if refs > 0 {
		n := s.introduce(Object{
			Session: layout.Session(c.Session), N: uint64(c.Head), Kind: ArchiveObject,
			Size: c.Size, Refs: refs, Introduced: s.position,
		})
		s.archives = append(s.archives[:len(s.archives):len(s.archives)], archive{From: c.From, To: c.To, Object: n})
	}
	s.epochs, s.epochsGen = append([]inlineEpoch(nil), s.epochs[last+1:]...), s.gen
	s.archivedTo = c.To
	return OK
}

// HasArchive reports whether runs lie in the archive of that name.
func (s *State) HasArchive(session layout.Session, head int64) bool {
	o, ok := s.FindArchive(session, head)
	return ok && o.Refs > 0
}

// FindArchive finds an archive by its name, if runs lie in it or once did.
func (s *State) FindArchive(session layout.Session, head int64) (Object, bool) {
	for _, a := range s.archives {
		if o := s.objects.get(a.Object); o != nil && o.Session == session && o.N == uint64(head) {
			return *o, true
		}
	}
	return Object{}, false
}
