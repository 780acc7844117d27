package topicconfig

import (
	"strconv"
	"strings"
)

// Effective is what a topic's configs mean for its records.
type Effective struct {
	MaxMessageBytes int
	LogAppendTime   bool
	Codec           string // compression.type
	Compact, Delete bool   // cleanup.policy
	RetentionMs     int64  // -1 = for ever
	RetentionBytes  int64  // -1 = all
	TimestampBefore int64  // ms that a timestamp may lie in the past
	TimestampAfter  int64  // ms that a timestamp may lie in the future
}

// Defaults is a topic without any config of its own. It is shared: do not change it.
var Defaults = func() *Effective {
	e := &Effective{}
	for i := range Catalogue {
		e.set(Catalogue[i].Name, Catalogue[i].Default)
	}
	return e
}()

// Of reads a topic's own configs; each visits them. Values were checked when they were stored, so one that does not
// parse here leaves the default in place.
func Of(n int, each func(i int) (name, value string)) *Effective {
	if n == 0 {
		return Defaults
	}
	e := *Defaults
	for i := range n {
		name, value := each(i)
		e.set(name, value)
	}
	return &e
}

func (e *Effective) set(name, value string) {
	number := func(dst *int64) {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			*dst = n
		}
	}
	switch name {
	case MaxMessageBytes:
		if n, err := strconv.Atoi(value); err == nil {
			e.MaxMessageBytes = n
		}
	case TimestampType:
		e.LogAppendTime = value == "LogAppendTime"
	case Compression:
		e.Codec = value
	case CleanupPolicy:
		e.Compact, e.Delete = strings.Contains(value, "compact"), strings.Contains(value, "delete")
	case RetentionMs:
		number(&e.RetentionMs)
	case RetentionBytes:
		number(&e.RetentionBytes)
	case TimestampBefore:
		number(&e.TimestampBefore)
	case TimestampAfter:
		number(&e.TimestampAfter)
	}
}
