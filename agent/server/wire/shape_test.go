package wire

import (
	"errors"
	"testing"
)

var sample = Message(2,
	String(), NullableString(), Bytes(), NullableBytes(),
	Array(Struct(Fixed(4), Fixed(8).From(1), String().Until(1).Tagged(3))),
	Array(Fixed(2)).From(1),
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		version int16
		b       []byte
		ok      bool
	}{
		"classic":            {0, []byte{0, 1, 'a', 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 1, 2, 3, 4}, true},
		"behind the message": {0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, true},
		"null string":        {0, []byte{0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false},
		"length below -1":    {0, []byte{0, 0, 0xff, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, true}, // null, as in Apache Kafka
		"null array":         {0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, false},
		"elements missing":   {0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 3, 4}, false},
		"count beyond bytes": {0, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}, false},
		"flexible":           {2, []byte{2, 'a', 0, 1, 0, 2, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0, 3, 1, 2, 3, 4, 0}, true},
		"unknown tags":       {2, []byte{1, 0, 1, 0, 1, 1, 2, 9, 2, 'x', 'y', 10, 0}, true},
		"tag beyond bytes":   {2, []byte{1, 0, 1, 0, 1, 1, 1, 9, 3, 'x', 'y'}, false},
		"varint too long":    {2, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, false},
		"nothing":            {2, nil, false},
	} {
		err := sample.Check(c.version, c.b)
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, ErrMalformed)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A nullable array may be null from a version on, in classic and in flexible versions.
func TestNullableArray(t *testing.T) {
	m := Message(2, NullableArray(Fixed(2)).NullFrom(1))
	for name, c := range map[string]struct {
		version int16
		b       []byte
		ok      bool
	}{
		"not yet":      {0, []byte{0xff, 0xff, 0xff, 0xff}, false},
		"null":         {1, []byte{0xff, 0xff, 0xff, 0xff}, true},
		"below -1":     {1, []byte{0x80, 0, 0, 0}, true},
		"compact null": {2, []byte{0, 0}, true},
		"one":          {2, []byte{2, 1, 2, 0}, true},
	} {
		if err := m.Check(c.version, c.b); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A nullable structure has a byte in front, in classic and in flexible versions.
func TestNullableStruct(t *testing.T) {
	m := Message(1, NullableStruct(Fixed(2)), Fixed(1))
	for name, c := range map[string]struct {
		version int16
		b       []byte
		ok      bool
	}{
		"null":          {0, []byte{0xff, 9}, true},
		"null flexible": {1, []byte{0xff, 9, 0}, true},
		"there":         {0, []byte{1, 1, 2, 9}, true},
		"flexible":      {1, []byte{1, 1, 2, 0, 9, 0}, true},
		"cut":           {1, []byte{1, 1}, false},
		"nothing":       {1, nil, false},
	} {
		if err := m.Check(c.version, c.b); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A count of four billion is refused, not counted down.
func TestHugeCountsCostNothing(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for _, b := range [][]byte{
		append([]byte{1, 0, 1, 0}, huge...),             // array
		append([]byte{1, 0, 1, 0, 1, 1}, huge...),       // tagged fields
		append([]byte{1, 0, 1, 0, 1}, huge...),          // array of fixed
		append([]byte{1, 0, 1, 0, 1, 1, 1, 5}, huge...), // size of a tagged field
	} {
		if sample.Check(2, b) == nil {
			t.Errorf("%x passed", b)
		}
	}
	plain := make([]byte, 16)
	if allocs := testing.AllocsPerRun(10, func() {
		if sample.Check(0, plain) != nil {
			t.Fail()
		}
	}); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestSkipTags(t *testing.T) {
	rest, err := SkipTags([]byte{1, 5, 2, 'a', 'b', 'c'})
	if err != nil || string(rest) != "c" {
		t.Errorf("%q, %v", rest, err)
	}
	if _, err := SkipTags([]byte{1, 5}); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}
