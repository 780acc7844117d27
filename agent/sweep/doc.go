// Package sweep proposes the Sweep commands that drop, from State, the runs of deleted topics and those below log starts.
//
// Deleting and trimming only mark, so that their entries cost Apply next to nothing; the rest is done by entries that
// drop 1,000 runs each. Every agent looks at State's backlog, and the one with the lowest node id among the live ones
// proposes, one Sweep at a time and with a pause between; the others only when nobody has swept for a while, later the
// higher their node id. No job lease stands behind that, as a lease would cost etcd requests on an idle cluster and buy
// nothing: what a Sweep drops is State's decision, so a second one at the same time drops the next runs or none. Nor
// does the agent that deleted or trimmed sweep up itself: it may die before it is done.
package sweep
