package keycompact

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"wadi/internal/batch"
	pb "wadi/metadata/metadatapb"
)

// Who was told that a topic is not compacted any more loses nothing to a compaction that had begun before. Apache Kafka
// aborts it before it answers.
func TestPolicyChangesDuringACompaction(t *testing.T) {
	for _, after := range []int{0, 2} {
		r := newRig(t, 1, Config{MaxOutput: 1000, RunBytes: 300, Memory: 1 << 20})
		for i := range 60 {
			r.write(nil, 0, batch.None, false, kv{fmt.Sprint("k", i), "1"}, kv{fmt.Sprint("k", (i+30)%60), "2"})
		}
		r.old()
		var before []seen
		r.meddle, r.meddleAfter = func() {
			r.do(&pb.Command{Base: r.position, Kind: &pb.Command_AlterConfigs{AlterConfigs: &pb.AlterConfigs{
				Type: 2, Topic: topic, Set: []*pb.Config{{Name: "cleanup.policy", Value: "delete"}},
			}}})
			r.configs.Compact = false
			before = r.committed(0, 0)
		}, after
		_, err := r.pass()
		require.NoError(t, err)
		require.NotEmpty(t, before)
		require.Equal(t, before, r.committed(0, 0))
	}
}
