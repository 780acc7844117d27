// Package wire holds the two ends of the Kafka wire format that kmsg does not cover well enough for a server: Shape
// checks the structure of a request before anything is allocated for it, and Writer builds a reply whose record bytes
// are handed to the socket by reference.
//
// Why check first: kmsg bounds an array's length by the bytes that remain, one byte per element, so a frame of n bytes
// can ask for n structs of a hundred bytes each; and the count of tagged fields is not bounded at all, so a frame of
// thirty bytes can spin a decoder four billion times. A frame that passed its Shape has every element it announces.
package wire
