// Package place lets a process prove that the one before it is dead. A process takes a name that the kernel gives to one
// process at a time and takes back however it ends; who holds it later, on the same boot of the same machine and in the same
// network namespace, knows that nobody does any more who said that they held it.
//
// The name is an abstract Unix socket: bound to the network namespace, as the ports are that agents listen on, without a
// file that would outlive anybody. A service that systemd restarts comes back to its place, and so does a container that is
// restarted within its pod. A pod that is made anew does not, nor does a machine after a boot: what was there before may
// live, for all that can be known.
package place
