// Package sockets is what both ends of a connection share: the connection socket,
// messages on it, and the errors. The servers are in tcpserver and udpserver, the
// clients in client, process addresses in addr, and a network in memory that loses
// and reorders, for tests and lessons, in simnet.
//
// # The ladder
//
// Take the first that fits:
//
//  1. Respond, of either server: a function from a request to its reply. The same
//     [Responder] serves TCP and UDP.
//  2. [Conn.Messages]: a dialogue; the loop ends with the peer, or with a stop.
//  3. [Conn.ReadMessage] and [Conn.WriteMessage]: a loop of your own.
//  4. [Conn.Read] and [Conn.Await]: a protocol of your own.
//
// A client's half of the first is [Conn.Call]. What a message is, a [Framing] says:
// [Lines] by default, [LengthPrefix], [Uvarint], [Packets] where the transport keeps
// boundaries, or one of your own. [Relay] joins two connections.
//
// # What TCP promises, and what it does not
//
// The bytes that were written arrive in their order, once, or the connection fails.
// It promises no more than that: one Write may be read in pieces, and two in one
// piece, which is what framings are for; a Write that succeeded was taken by this
// system, and only an answer of the peer's program proves that it got there; a peer
// that vanishes without a word is noticed by a time limit or not at all.
//
// # The end of a connection
//
// Each way in which a connection ends on this side has an error of its own, such as
// [ErrDraining] or [ErrIdle], which is final and no timeout. A deadline or a context
// that has run out matches both [os.ErrDeadlineExceeded] and
// [context.DeadlineExceeded]; see [IsTimeout]. The peer's end between messages is
// io.EOF, and inside one io.ErrUnexpectedEOF.
//
// Stats of a server count, its Logger tells a person, and [Explain] says what an
// error probably means and what to do next.
package sockets
