package steady

// bucket is a budget: what is earned and not spent, up to a limit. It goes by events and not by time, so that what may
// be spent is a share of what happened, whatever the rate.
type bucket struct {
	share  float64 // that earn adds
	most   float64
	tokens float64
}

// newBucket starts full: the first failures after a start are repeated like any other.
func newBucket(share float64, most int) bucket {
	return bucket{share: share, most: float64(most), tokens: float64(most)}
}

func (b *bucket) earn() { b.tokens = min(b.most, b.tokens+b.share) }

// spend takes a token if there is one and a part of the whole stays.
func (b *bucket) spend(stays float64) bool {
	if b.tokens < 1+stays*b.most {
		return false
	}
	b.tokens--
	return true
}

// refund gives a token back that was not used after all.
func (b *bucket) refund() { b.tokens = min(b.most, b.tokens+1) }
