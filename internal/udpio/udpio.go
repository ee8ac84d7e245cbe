// Package udpio moves datagrams between a socket and a server's workers. A Conn
// is an engine: one reads a datagram per system call through whatever methods
// the socket has, others move many at once. All mean the same; a conformance
// test runs over each.
package udpio

import (
	"net"
	"net/netip"
)

// Conn is one socket. Read, Holds and Drain belong to whoever holds the read turn;
// everything else is safe from any goroutine.
type Conn interface {
	// Read waits for at least one datagram and returns those that are there.
	// The packets and their bytes are valid until the next Read.
	Read() ([]Packet, error)
	// Write sends p as one datagram, without keeping it. It waits at most
	// WriteWait for room in the socket's buffer.
	Write(p []byte, r Route) error
	// NewBatch returns a Batch for this socket, nil if the engine would send
	// one by one anyway. failed is called by Send for what could not be sent.
	NewBatch(failed func(r Route, err error)) Batch
	// Hurry makes writes that wait for room, and all that come later, give up
	// after a tenth of WriteWait.
	Hurry()
	// Interrupt makes a Read that waits, and every later one, fail with
	// os.ErrDeadlineExceeded. An error means that only Close can do that.
	Interrupt() error
	// Clear takes back an Interrupt, or a deadline that somebody else set.
	Clear() error
	// Drain makes the Reads that follow an Interrupt take what is queued,
	// and fail with os.ErrDeadlineExceeded where they would have waited.
	Drain()
	// Holds reports whether the next Read returns what is here already, and asks
	// the system for nothing.
	Holds() bool
	// WantECN makes the system tell Packet.ECN, and reports whether it does.
	// It is called before the first Read.
	WantECN() bool
	// Memory is what the system tells about the socket's buffers; its figures
	// are 0 where it does not. It is safe after Close.
	Memory() Memory
	// SetBuffers asks for buffers of so many bytes, and never makes one
	// smaller. What came of it Memory tells.
	SetBuffers(read, write int)
	// Close closes the socket.
	Close() error
}

// Memory is the state of a socket's buffers, in bytes.
type Memory struct {
	Read, Write int    // what SetBuffers has achieved
	Limit       int    // of what waits to be read, with what is charged beside the data
	Waiting     int    // of Limit
	Drops       uint32 // datagrams that found it full, modulo 1<<32
}

// Packet is a datagram that was read.
type Packet struct {
	Route
	Data []byte
	// Truncated is set if the datagram was longer than the engine was told to
	// read; Data is then its beginning.
	Truncated bool
	// Malformed is set if what the system says about the datagram did not fit,
	// and the address that was asked is missing.
	Malformed bool
	// Joined is set if the system had merged the datagram with the packet
	// before it.
	Joined bool
	// ECN is the congestion notification of the IP header (RFC 3168), where
	// WantECN was successful.
	ECN uint8
}

// Route is where a datagram came from and how a reply to it goes back.
type Route struct {
	// Peer is the other end, never IPv4-mapped. It is invalid if the socket
	// is not one of the Internet's; then Raw says who it is.
	Peer netip.AddrPort
	Raw  net.Addr
	// Asked is the address that Peer has sent to. It is invalid where that is
	// not known, and on a socket that is bound to one address.
	Asked netip.Addr
	// Source is the address a reply must leave from to be recognised: Asked,
	// except that a broadcast or multicast is answered from the host's own
	// address. Invalid: the system chooses.
	Source netip.Addr
	// Index is the number of the interface that Asked was received on, 0 if
	// that is not known.
	Index int
}

// Batch collects datagrams that are sent together. It belongs to one goroutine
// at a time.
type Batch interface {
	// Add copies p into the batch, or reports false if there is no room.
	Add(p []byte, r Route) bool
	// Len is how many datagrams the batch holds.
	Len() int
	// Send sends them and empties the batch. One that fails does not keep the
	// others. It returns how many were taken, and their bytes.
	Send() (sent, bytes int)
}

// Engine is a way to do it.
type Engine uint8

// The engines.
const (
	Best   Engine = iota // the fastest that pc and the system have
	Single               // one datagram per system call, on any net.PacketConn
	Multi                // many per system call; where that is impossible, Single
	Trains               // Multi, and datagrams of or to one peer cross the system as one
)

// longestUDP is what the length field of a datagram can say (RFC 768).
const longestUDP = 65535

// Open returns the engine that suits pc. Datagrams longer than size bytes come
// truncated.
func Open(pc net.PacketConn, size int, e Engine) Conn {
	s := newSingle(pc, size)
	if e != Single {
		if m := openMulti(s, e != Multi); m != nil {
			return m
		}
	}
	// One byte more than is wanted shows, on every kind of socket, that there was
	// more. Flags would do so on some systems only, and Windows, where a buffer is
	// too short, makes an error of it that leaves the sender out: so the buffer is
	// longer than any datagram. It is touched as far as they reach.
	s.buf = make([]byte, max(size, longestUDP)+1)
	return s
}
