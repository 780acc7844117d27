package state

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "wadi/metadata/metadatapb"
)

// eachPlace calls visit with a copy of root in which one message of every type and place is there, empty, and is the one
// to spoil.
func eachPlace(root protoreflect.Message, visit func(path string, whole, spoiled protoreflect.Message)) {
	var walk func(path string, steps []protoreflect.FieldDescriptor, d protoreflect.MessageDescriptor)
	walk = func(path string, steps []protoreflect.FieldDescriptor, d protoreflect.MessageDescriptor) {
		whole := root.New()
		at := whole
		for _, f := range steps {
			if f.IsList() {
				at = at.Mutable(f).List().AppendMutable().Message()
			} else {
				at = at.Mutable(f).Message()
			}
		}
		visit(path, whole, at)
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			if f.Kind() == protoreflect.MessageKind {
				walk(path+"/"+string(f.Name()), append(steps[:len(steps):len(steps)], f), f.Message())
			}
		}
	}
	walk("", nil, root.Descriptor())
}

// unknownField is a field that no version of any message has.
var unknownField = protowire.AppendVarint(protowire.AppendTag(nil, 5000, protowire.VarintType), 1)

// DESIGN section 4: unknown fields and commands refuse to load, wherever they are.
func TestUnknownFieldsAreRefusedEverywhere(t *testing.T) {
	places := 0
	eachPlace((&pb.Entry{}).ProtoReflect(), func(path string, whole, spoiled protoreflect.Message) {
		places++
		if err := CheckKnown(whole); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		spoiled.SetUnknown(unknownField)
		value, err := proto.Marshal(whole.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(1, 1, 1, value); !errors.Is(err, ErrUndecodable) {
			t.Errorf("an unknown field at %q: %v", path, err)
		}
	})
	eachPlace((&pb.BaseRecord{}).ProtoReflect(), func(path string, whole, spoiled protoreflect.Message) {
		places++
		spoiled.SetUnknown(unknownField)
		value, err := proto.Marshal(whole.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if err := NewLoader().Add(value); !errors.Is(err, ErrBase) {
			t.Errorf("an unknown field of a base at %q: %v", path, err)
		}
	})
	if places < 20 {
		t.Errorf("%d places of messages", places)
	}
}

func TestUndecodable(t *testing.T) {
	command := protowire.AppendTag(nil, 2, protowire.BytesType)
	for name, value := range map[string][]byte{
		"cut short":         {0x08},
		"no kind":           protowire.AppendBytes(command, nil),
		"unknown kind":      protowire.AppendBytes(command, protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), nil)),
		"kind of no length": protowire.AppendBytes(command, protowire.AppendVarint(protowire.AppendTag(nil, 5, protowire.VarintType), 1)),
		"no UTF-8":          marshalRaw(2, marshalRaw(6, marshalRaw(1, []byte("\xff")))),
	} {
		if _, err := Decode(1, 1, 1, value); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, err := Decode(7, alice, 3, nil); err != nil || e.Position != 7 || e.Session != alice || e.Seq != 3 {
		t.Errorf("an empty entry: %+v %v", e, err)
	}
}

func marshalRaw(field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), content)
}

// A view may reuse the bytes of an entry once it is decoded.
func TestDecodeCopies(t *testing.T) {
	value := marshal(t, &pb.Entry{Inline: []byte("inline"), Commands: []*pb.Command{createTopic("topic", 1, 0)}})
	e, err := Decode(1, 1, 1, value)
	if err != nil {
		t.Fatal(err)
	}
	clear(value)
	if string(e.Body.Inline) != "inline" || e.Body.Commands[0].GetCreateTopic().Name != "topic" {
		t.Errorf("decoded entry changed with the bytes it came from: %v", e.Body)
	}
}
