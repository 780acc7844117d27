// Package groups tries faults on consumer groups of both protocols: members spoken request by request, on three agents
// under load, whose coordinator is killed, frozen and cut off. What every member was told is recorded and judged: no
// committed offset goes back (I12), no partition has two owners in one generation or epoch (I13), and a stable group does
// not rebalance because its coordinator is gone.
package groups
