package agent

import (
	"testing"

	"wadi/metadata/kv"
)

func TestStageOf(t *testing.T) {
	const gb = 1000 << 20
	for name, c := range map[string]struct {
		in   kv.Status
		want stage
	}{
		"empty":                    {kv.Status{DBSize: gb / 10, DBInUse: gb / 10, QuotaBytes: 8 * gb}, stage{}},
		"below 40 %":               {kv.Status{DBSize: 4 * gb, DBInUse: 31 * gb / 10, QuotaBytes: 8 * gb}, stage{}},
		"40 %":                     {kv.Status{DBSize: 4 * gb, DBInUse: 33 * gb / 10, QuotaBytes: 8 * gb}, stage{noInline: true}},
		"60 %":                     {kv.Status{DBSize: 5 * gb, DBInUse: 49 * gb / 10, QuotaBytes: 8 * gb}, stage{true, true}},
		"file full, pages free":    {kv.Status{DBSize: 73 * gb / 10, DBInUse: gb, QuotaBytes: 8 * gb}, stage{true, true}},
		"alarm":                    {kv.Status{DBSize: gb, DBInUse: gb, QuotaBytes: 8 * gb, NoSpace: true}, stage{true, true}},
		"quota unknown, half of 2": {kv.Status{DBSize: gb, DBInUse: gb, QuotaBytes: 0}, stage{noInline: true}},
	} {
		if got := stageOf(c.in); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
