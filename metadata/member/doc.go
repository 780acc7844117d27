// Package member is what every process of a cluster has, whatever it does there: the cluster's identity, a live State, a
// session to append with, the list of the others, and its part in checkpoints. Agents and compactors are built on it.
package member
