// Package steady keeps the calls of an object store short on the store's bad days. It decorates an objstore.Store that
// makes one attempt per call, and is the only place that repeats, doubles, delays or queues requests. Decorators that
// are to see every request (counters, faults, kill points) belong beneath it.
//
// Requests come in two lanes, writes (Put, Delete, the calls of an upload) and reads (Get, List, Uploads, Date), which
// share nothing. A request passes
//
//	call -> retry loop -> hedge -> gate -> attempt (bounded in time) -> the store
//
// # Gate: adaptive concurrency
//
// As many requests of a lane are under way as its limit allows; the others wait in the order in which their calls began
// (a repetition keeps its call's place), until their context ends. The queue is bounded.
//
// When the store asks to slow down, two things happen. The limit is halved from what is under way, at most once for all
// requests that had been sent by then (AIMD: what they report is the same congestion), and grows by one per round trip
// when it binds, by one per answer once the store has been calm. And the lane is held: nothing is sent for a moment,
// then one request as a probe. Each refused probe makes the moment a quarter longer; one that brings no answer in a
// while is followed by another. What a store that refuses everything costs is therefore a handful of requests, however
// many calls wait. That is why a refused request needs no pause of its own, and is repeated until its context ends (or
// some forty refusals later) without touching the budget of retries.
//
// # Retries: a budget
//
// A failure that may pass is repeated, a few times, after pauses that grow. Each repetition takes a token out of its
// lane's budget and each success puts a part of one back, so that over any stretch of time repetitions are a fixed share
// of successes and cannot multiply the load of a store that is failing. When the budget is empty the error is returned
// with ErrBudget, and the caller answers its own client with something that may be retried.
//
// # Hedges: a second request for the slowest few
//
// A write or a ranged read that takes longer than nearly all of its size class have lately is sent a second time. The
// first answer wins; the other attempt is cancelled, and the call returns when it has ended too: only then is a body's
// memory free again (DESIGN section 5 step 3). A failure waits for the other attempt, unless it is one that no
// repetition mends.
//
// For a write the second request goes to another name, which the caller offers (PutEither). A slow first Put that lands
// later is then an orphan and never a conflict, and the caller commits the name that is known to be there. Put has one
// name and is never hedged: a second request for the same name would only learn that the first holds it.
//
// When is "long"? The delay is a high quantile of the lane's latencies by size class, over the last thousand or so.
// Only first attempts are counted, each once: one that was cancelled because its hedge won counts with the time it had
// taken so far, which lies above the estimate, where its true time would lie too. So a hedge does not hide the slowness
// that it mends, and the estimate is unbiased. When more requests are stuck than that quantile leaves out, it says nothing
// any more: the delay is never more than three times the median. Until there are enough samples it is a fixed, long one.
//
// A hedge takes a token; every first attempt adds a small part of one, so that hedges are at most that share of the
// requests even when every one of them is slow. Half of what may be saved up is kept for requests that have waited half
// as long again: nearly all that are merely late have ended by then, while one that is stuck holds up everything behind
// it. (Measured with 1 % of the writes stuck and a budget without that reserve: it is empty when it is needed often
// enough to double the 99th percentile of produce.) No hedge is sent while the lane queues, or was asked to slow down a
// moment ago: it would be one more request for a store that has too many.
//
// # Cores and shell
//
// quantile, bucket and limiter are cores: no goroutine, clock or I/O. gate is the limiter's shell, hedge.go and retry.go
// are those of the other two.
package steady
