// Package server speaks the Kafka protocol's lower half: listeners, connections, frames, headers, order of replies.
// What a request means is decided by the handlers of the API table that it is given (package api).
//
//	client -> [4-byte length][key, version, correlation id, client id][body] ...      any number, back to back
//	client <- [4-byte length][correlation id][body] ...                               in the order of the requests
//
// Every connection has two goroutines. The reader takes one frame after the other, checks and decodes it, gives it a
// slot in the connection's queue of replies and starts its handler. A handler answers whenever it is ready, from any
// goroutine. The writer sends what is ready at the head of the queue, several replies at a time. A produce waiting for
// its flush or a fetch waiting for data therefore costs a slot and no goroutine; only handlers marked Spawn get one.
//
// What bounds a connection: MaxInFlight requests and MaxConnBytes of frames between arrival and reply; the reader stops
// reading until there is room, and TCP tells the client. Frames of Produce are also taken against Config.Produce: past
// that budget only connections whose next frame is a Produce wait, as the key is looked at before the body is read.
//
// Memory is allocated as bytes arrive, never on the word of a length prefix.
package server
