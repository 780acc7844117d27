package memkv

import "wadi/metadata/kv"

// sizes estimates what etcd's backend would hold. The file is a high-water mark: bbolt reuses freed pages and returns
// none, and etcd's quota looks at the file.
type sizes struct {
	inUse, file int64
	alarm       bool
}

func (z *sizes) grow(n int64) {
	z.inUse += n
	z.file = max(z.file, z.inUse)
}

func (z *sizes) free(n int64) { z.inUse -= n }

// admit decides whether a request that puts cost bytes may run, and raises the alarm when not. A request that puts
// nothing always may: that is how a full store is emptied.
func (z *sizes) admit(cost, quota int64) bool {
	if cost == 0 {
		return true
	}
	if !z.alarm && z.file+cost >= quota {
		z.alarm = true
	}
	return !z.alarm
}

// putBytes is a branch's cost in etcd's quota: 256 bytes for every put besides key and value.
func putBytes(ops []kv.Op) (n int64) {
	for _, op := range ops {
		if op.Kind == kv.OpPut {
			n += 256 + int64(len(op.Key)+len(op.Value))
		}
	}
	return n
}

// Defrag shrinks the file to what is in use. The alarm stays until Disarm.
func (s *Store) Defrag() { s.size.file = s.size.inUse }

// Disarm takes the NOSPACE alarm back. The next put raises it again when there is still no space.
func (s *Store) Disarm() { s.size.alarm = false }

// SetQuota changes the quota, as a restart with another flag would.
func (s *Store) SetQuota(bytes int64) { s.opts.QuotaBytes = bytes }
