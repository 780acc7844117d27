package manifest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"testing"

	"pgregory.net/rapid"

	"wadi/internal/layout"
	"wadi/objstore"
	"wadi/objstore/mem"
)

// reseal gives header, blocks and footer the checksums that fit what they hold, as a broken writer would.
func reseal(data []byte) {
	if len(data) < headerSize+trailerSize {
		return
	}
	binary.BigEndian.PutUint32(data[12:], crc32.Checksum(data[:12], castagnoli))
	trailer := data[len(data)-trailerSize:]
	length := uint64(binary.BigEndian.Uint32(trailer))
	if length < footerFixed || length > uint64(len(data)-headerSize-trailerSize) {
		return
	}
	end := uint64(len(data)) - trailerSize - length
	p := data[end:]
	blocks := uint64(0)
	for k := range 3 {
		blocks += uint64(binary.BigEndian.Uint32(p[72+4*k:]))
	}
	at := footerFixed + 8*uint64(binary.BigEndian.Uint32(p[20:]))
	for ; blocks > 0 && at+indexSize <= length; at, blocks = at+indexSize, blocks-1 {
		var b Block
		b.parse(p[at:])
		if b.Position >= headerSize && b.Position <= end && uint64(b.Length) <= end-b.Position && b.Length >= crcSize {
			x := data[b.Position : b.Position+uint64(b.Length)]
			binary.BigEndian.PutUint32(x[len(x)-crcSize:], crc32.Checksum(x[:len(x)-crcSize], castagnoli))
		}
	}
	binary.BigEndian.PutUint32(trailer[16:], crc32.Checksum(data[end:len(data)-8], castagnoli))
}

// readAll reads everything there is to read; what does not fit is ErrCorrupt or ErrVersion.
func readAll(t rapid.TB, data []byte) (c content, ok bool) {
	ctx := context.Background()
	store := mem.New()
	if err := store.Put(ctx, key, objstore.NewBody(data)); err != nil {
		t.Fatal(err)
	}
	judged := func(err error) bool {
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("not an error of the content: %v", err)
		}
		return err == nil
	}
	r, err := Open(ctx, store, key, uint64(len(data)))
	if !judged(err) {
		return c, false
	}
	c.topic, c.partition = r.Info().Topic, r.Info().Partition
	ok = judged(r.Verify(ctx))
	c.objects, err = r.Objects(ctx)
	ok = judged(err) && ok
	ok = judged(r.EachRun(ctx, func(x Run) error { c.runs = append(c.runs, x); return nil })) && ok
	c.aborted, err = r.Aborted(ctx, 0, math.MaxInt64)
	ok = judged(err) && ok
	_, err = r.RunsFrom(ctx, r.Info().First+3, 10)
	return c, judged(err) && ok
}

// Whatever bytes lie under a manifest's key, reading them ends with what a Writer would write again, or with an error that
// says that they are no manifest.
func FuzzManifest(f *testing.F) {
	f.Add(small().write(f), false)
	f.Add([]byte(headerMagic), true)
	c := small()
	c.aborted = nil
	f.Add(c.write(f), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		data = bytes.Clone(data)
		if seal {
			reseal(data)
		}
		c, ok := readAll(t, data)
		if !ok {
			return
		}
		var out bytes.Buffer
		w, err := NewWriter(&out, c.topic, c.partition)
		for _, r := range c.runs {
			err = errors.Join(err, w.Run(r.Base, r.Last, r.MaxTimestamp, r.Index, r.Offset, r.Length))
		}
		for _, o := range c.objects {
			err = errors.Join(err, w.Object(o))
		}
		for _, a := range c.aborted {
			err = errors.Join(err, w.Aborted(a))
		}
		if _, cerr := w.Close(); err != nil || cerr != nil {
			t.Fatalf("what was read cannot be written: %v, %v", err, cerr)
		}
	})
}

// FuzzBlocks decodes blocks whose checksum fits.
func FuzzBlocks(f *testing.F) {
	c := small()
	var list []run
	for _, r := range c.runs {
		list = append(list, run{r.Base, r.Last, r.MaxTimestamp, r.Index, r.Offset, r.Length})
	}
	f.Add(appendRuns(nil, list), uint32(4), int64(100), int64(199))
	f.Add(appendObjects(nil, c.objects, []layout.Session{5, -2}), uint32(3), int64(149), int64(199))
	f.Add(appendAborted(nil, c.aborted), uint32(2), int64(120), int64(130))
	f.Fuzz(func(t *testing.T, columns []byte, entries uint32, first, last int64) {
		if first < 0 || last < first || last == math.MaxInt64 {
			return // footers with such blocks are refused
		}
		data := sealed(bytes.Clone(columns))
		b := Block{First: first, Last: last, Length: uint32(len(data)), Entries: entries}
		runs, err := parseRuns(b, data, 3)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		for _, r := range runs {
			if r.base < first || r.last > last || r.last < r.base || r.object >= 3 || r.length == 0 {
				t.Fatalf("%+v", r)
			}
		}
		objects, err := parseObjects(b, data, []layout.Session{5, -2})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		for i, o := range objects {
			if err := o.check(); err != nil || i > 0 && o.Last <= objects[i-1].Last {
				t.Fatalf("%v %+v", err, o)
			}
		}
		aborted, err := parseAborted(b, data)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		for _, a := range aborted {
			if checkAborted(&a) != nil || a.Last < first || a.Last > last {
				t.Fatalf("%+v", a)
			}
		}
	})
}

// Every byte counts: a manifest with one flipped is refused, or the byte is the reserved part of a header that nobody read.
func TestEveryByteCounts(t *testing.T) {
	data := small().write(t)
	for i := range data {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(data)
			bad[i] ^= bit
			if _, ok := readAll(t, bad); ok {
				t.Errorf("byte %d may be %#x as well as %#x", i, bad[i], data[i])
			}
		}
	}
	for n := range data {
		if _, ok := readAll(t, data[:n]); ok {
			t.Errorf("the first %d bytes are a manifest", n)
		}
	}
}

// With checksums that fit, what is wrong in itself is found.
func TestResealedChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := small().write(t)
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		reseal(data)
		readAll(t, data) // no panic, no other error
	})
}
