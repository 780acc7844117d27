package etcdkv_test

import (
	"testing"

	"wadi/metadata/kv"
	"wadi/metadata/kv/kvtest"
)

func TestContractEmbedded(t *testing.T) {
	kvtest.Run(t, func(t *testing.T) kv.KV { return embedded(t, t.TempDir()) })
}
