package memkv_test

import (
	"testing"
	"testing/synctest"

	"wadi/metadata/kv/kvtest"
	"wadi/metadata/kv/memkv"
)

// Every case runs in a bubble of its own, where leases end in no time at all.
func TestContract(t *testing.T) {
	for _, c := range kvtest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := memkv.New(memkv.Config{})
				defer k.Close()
				c.Run(t, k)
			})
		})
	}
}
