// Package delay is a TCP proxy that knows where Kafka's frames begin, for tests of what arrives late or never: the
// network of KAFKA-17754, in which a request of one transaction reaches a broker while the next one runs.
//
//	rules := delay.NewRules()
//	proxy := delay.Start(t, agentAddress, rules) // one for each agent; the agent advertises proxy.Address()
//
//	late := rules.Hold(delay.Transactional("my-id", kmsg.EndTxn))
//	...                            // the client sends EndTxn; one of the proxies catches it
//	request, err := late.Wait(ctx) // it is caught: the agent has not seen a byte of it
//	late.Cut()                     // the client loses its connection and sends EndTxn again, over another one
//	...                            // that one goes through, and the next transaction begins
//	answer, err := late.Release(ctx) // the first EndTxn reaches its agent, with all that was sent after it
//
// Nothing is rewritten. Clients stay on the proxies because each agent advertises its proxy's address
// (advertised.listeners; cluster.Options.Rules does that for whole processes). All proxies of a cluster share one Rules, so
// that "the next EndTxn" means the next one at any agent, and a request that is sent again after it was caught passes.
//
// HoldReply catches the answer instead: the agent has done what was asked, and Cut makes sure that the client never hears of
// it. A Catch that nobody needs any more is ended with Cancel (what it caught goes on its way) or Drop (it is never
// delivered). A catch that has not been cut keeps its connection silent: the client's own timeout decides, and Gone tells.
//
// As a nemesis (F18, F19 of docs/invariants.md), in a goroutine of its own: Hold or HoldReply, Wait with a bound, Cut, wait
// until the client has gone on, Release. A fault has fired when Wait returned a request and, of a held request, Release
// returned an answer; ErrEnded means that the agent or its connection went away meanwhile, so it did not fire.
package delay
