package api

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"wadi/agent/server/wire"
)

// fill sets every field of a kmsg struct to something random.
func fill(v reflect.Value, rng *rand.Rand) {
	switch v.Kind() {
	case reflect.Pointer:
		if rng.IntN(3) > 0 || v.Type().Elem().Kind() == reflect.Struct {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), rng)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[kmsg.Tags]() {
			if rng.IntN(4) == 0 {
				v.Addr().Interface().(*kmsg.Tags).Set(100+uint32(rng.IntN(1000)), randomBytes(rng))
			}
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).Name != "Version" {
				fill(v.Field(i), rng)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(randomBytes(rng))
			return
		}
		n := rng.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), rng)
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rng.IntN(256)))
		}
	case reflect.String:
		v.SetString(string(randomBytes(rng)))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	default:
		v.SetInt(int64(rng.Uint64()))
	}
}

func randomBytes(rng *rand.Rand) []byte {
	b := make([]byte, rng.IntN(200))
	for i := range b {
		b[i] = 'a' + byte(rng.IntN(26))
	}
	return b
}

// Every request that kmsg writes fits its shape, in every version; cut anywhere it does not. Semantics line 7: unknown
// tagged fields are skipped wherever they are.
func TestShapesFitWhatClientsSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		v := rapid.SampledFrom(Versions).Draw(t, "api")
		req := v.new()
		fill(reflect.ValueOf(req).Elem(), rng)
		version := int16(rapid.IntRange(int(v.Min), int(v.Max)).Draw(t, "version"))
		req.SetVersion(version)
		b := req.AppendTo(nil)
		if err := v.shape.Check(version, b); err != nil {
			t.Fatalf("%s %d: %v", v.Name, version, err)
		}
		got := v.new()
		got.SetVersion(version)
		if err := got.ReadFrom(b); err != nil {
			t.Fatalf("%s %d: %v", v.Name, version, err)
		}
		cut := rng.IntN(len(b) + 1)
		if err := v.shape.Check(version, b[:cut]); cut < len(b) && !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("%s %d cut to %d of %d bytes: %v", v.Name, version, cut, len(b), err)
		}
	})
}

// Whatever comes in: what passes its shape is decoded without error, panic or memory beyond a small multiple of the
// input.
func FuzzRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range Versions {
		req := Versions[i].new()
		fill(reflect.ValueOf(req).Elem(), rng)
		req.SetVersion(Versions[i].Max)
		f.Add(uint8(i), uint8(Versions[i].Max), req.AppendTo(nil))
	}
	f.Add(uint8(3), uint8(12), []byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, which, version uint8, b []byte) {
		v := Versions[int(which)%len(Versions)]
		req := v.new()
		n := v.Min + int16(version)%(v.Max-v.Min+1)
		req.SetVersion(n)
		if err := v.shape.Check(n, b); err != nil {
			require.ErrorIs(t, err, wire.ErrMalformed)
			return
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := req.ReadFrom(b)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatalf("%s %d: passes its shape, but %v", v.Name, n, err)
		}
		// A partition of some bytes becomes a struct of some hundred; whatever else runs here gets the constant.
		if used := after.TotalAlloc - before.TotalAlloc; used > uint64(400*len(b)+16<<20) {
			t.Fatalf("%s %d: %d bytes allocated for %d", v.Name, n, used, len(b))
		}
		again := v.new()
		again.SetVersion(n)
		if err := again.ReadFrom(req.AppendTo(nil)); err != nil {
			t.Fatalf("%s %d: %v", v.Name, n, err)
		}
	})
}

// The hand-written encoder writes what kmsg writes, byte for byte.
func TestFetchReplyEqualsKmsg(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		version := int16(rapid.IntRange(4, 17).Draw(t, "version"))
		r := &fetchReply{version: version}
		want := kmsg.NewPtrFetchResponse()
		want.SetVersion(version)
		if version >= 7 {
			r.code = int16(rng.IntN(100))
			want.ErrorCode = r.code
		}
		for range rng.IntN(4) {
			ft := fetchedTopic{name: string(randomBytes(rng))}
			binary.BigEndian.PutUint64(ft.id[:], rng.Uint64())
			wt := kmsg.FetchResponseTopic{Topic: ft.name, TopicID: ft.id}
			for range rng.IntN(4) {
				fp, wp := randomPartition(rng)
				ft.parts = append(ft.parts, fp)
				wt.Partitions = append(wt.Partitions, wp)
			}
			r.topics = append(r.topics, ft)
			want.Topics = append(want.Topics, wt)
		}
		var w wire.Writer
		w.Append(func(b []byte) []byte { return append(b, "head"...) })
		m := w.Begin()
		r.EncodeTo(&w)
		w.End(m)
		got := bytes.Join(w.Buffers(nil), nil)
		body := want.AppendTo(nil)
		if len(got) != w.Len() || int(binary.BigEndian.Uint32(got[4:])) != len(body) || !bytes.Equal(got[8:], body) {
			t.Fatalf("version %d:\n got %x\nwant %x", version, got[8:], body)
		}
	})
}

func randomPartition(rng *rand.Rand) (fetchedPartition, kmsg.FetchResponseTopicPartition) {
	fp := fetchedPartition{
		index: rng.Int32(), code: int16(rng.IntN(100)), highWatermark: rng.Int64(), lastStable: rng.Int64(),
		logStart: rng.Int64(), listAborted: rng.IntN(2) == 0,
	}
	wp := kmsg.NewFetchResponseTopicPartition()
	wp.Partition, wp.ErrorCode, wp.HighWatermark = fp.index, fp.code, fp.highWatermark
	wp.LastStableOffset, wp.LogStartOffset = fp.lastStable, fp.logStart
	wp.RecordBatches = []byte{} // Semantics line 33: never null.
	for range rng.IntN(3) {
		b := make([]byte, rng.IntN(5000)) // on both sides of the size from which bytes are kept by reference
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		fp.records = append(fp.records, b)
		wp.RecordBatches = append(wp.RecordBatches, b...)
	}
	if fp.listAborted {
		wp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
		for range rng.IntN(3) {
			a := Aborted{rng.Int64(), rng.Int64()}
			fp.aborted = append(fp.aborted, a)
			wp.AbortedTransactions = append(wp.AbortedTransactions,
				kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
		}
	}
	return fp, wp
}
