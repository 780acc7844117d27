package keycompact

import "wadi/compactor/unfold"

// Config bounds a pass. Fields that are zero have the defaults.
type Config struct {
	Memory    int64 // bytes, 256 MiB: half of it is what the keys of a dirty section may take
	MaxOutput int64 // bytes, 256 MiB: objects end with the run that passes it
	RunBytes  int64 // bytes, 8 MiB: runs end with the batch that passes it
	MaxInput  int64 // bytes, 512 MiB: a pass ends once it has read so much for keys, or to write; small partitions are done whole
	Parallel  int   // above 1 parts are uploaded while others are made

	Unfold unfold.Limits // of a step in which runs come back out of a manifest
}

func (c Config) withDefaults() Config {
	set := func(v *int64, to int64) {
		if *v <= 0 {
			*v = to
		}
	}
	set(&c.Memory, 256<<20)
	set(&c.MaxOutput, 256<<20)
	set(&c.RunBytes, 8<<20)
	set(&c.MaxInput, 512<<20)
	c.Parallel = max(c.Parallel, 1)
	return c
}
