// Package udpserver serves datagrams: it reads a socket, calls a handler for
// each datagram with its sender, and sends the replies.
//
//	err := udpserver.ListenAndServe(ctx, "127.0.0.1:12000",
//		func(ctx context.Context, d *udpserver.Datagram) error {
//			return d.Reply(bytes.ToUpper(d.Data))
//		})
//
// UDP has no connection, so a server needs no welcoming socket: one socket takes
// the datagrams of every sender, and every datagram brings the address that its
// reply must name. Nor does UDP deliver reliably: a reply that was sent may be
// lost, and a request may come twice. What this package promises is that nothing
// is lost in silence on this side of the network: Stats counts what was handled
// and what was dropped, by reason, and the sum is what was received.
//
// The path of a datagram: loop.read (read.go), worker.next (worker.go, claim.go),
// the Handler (handle.go), Datagram.Reply (datagram.go, send.go, collect.go).
package udpserver

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"example.com/sockets/addr"
)

// Handler handles one datagram, which is valid until the handler returns. Up to
// Server.MaxHandlers of them run at once.
//
// ctx carries the values of the context that was given to Serve. It does not end
// when a stop begins, so that a handler can finish and reply, but when the grace
// period of the stop is over, with sockets.ErrCutOff as its cause.
//
// An error, unless it is io.EOF, net.ErrClosed, ErrBudget or the end of ctx, is
// logged and counted. So is a panic, or a runtime.Goexit, with its stack. None of them
// touches another datagram.
type Handler func(ctx context.Context, d *Datagram) error

// Server serves datagrams. The zero value with a Handler works. Its fields are
// not changed while it serves, and it is not copied after its first use. It may
// serve several sockets at once; its limits and Stats then cover them together.
type Server struct {
	// Handler is called for each datagram. It must be set.
	Handler Handler
	// MaxHandlers is how many handlers run at once; 0 means 1,024, negative
	// no limit. What comes when all are busy waits in Queue.
	MaxHandlers int
	// Order says which handlers may run at the same time; the zero value is
	// Concurrent.
	Order Order
	// Queue bounds what was read and waits for a handler.
	Queue Queue
	// MaxSize is the longest datagram that is taken, in bytes; 0 or negative
	// means 65,535, which is longer than any. Longer ones are counted and
	// dropped.
	MaxSize int
	// KeepTruncated hands a datagram that is longer than MaxSize to the
	// handler, with Datagram.Truncated set and the rest missing, instead of
	// dropping it.
	KeepTruncated bool
	// ReadBuffer and WriteBuffer are what the system's buffers of each socket
	// should hold, in bytes; 0 or negative leaves them as they are. A buffer
	// is never made smaller on Linux. If the system does not grant it, a line
	// is logged that names the setting to raise; Stats has what it grants. A
	// small datagram takes about 800 bytes there beside its own.
	ReadBuffer, WriteBuffer int
	// Engine is how datagrams are moved; the zero value is the fastest way
	// that the socket and the system have.
	Engine Engine
	// ECN makes the system tell Datagram.ECN, which it does on Linux.
	ECN bool
	// Sockets is how many sockets ListenPacket opens for one address; 0, 1 and
	// negative mean one, and so does a system that can't share out datagrams
	// among sockets (all but Linux). Serve runs a loop for each. That helps
	// where one core is busy with reading: reads of one socket never run in
	// parallel. The datagrams of one sender keep to one socket while the
	// server serves. Limits and Stats cover all of them together. A second
	// process can't join them by mistake: its ListenPacket is EADDRINUSE. For a
	// multicast group there is one, as each would get every datagram.
	Sockets int
	// Multicast says how ListenPacket's sockets join groups and send to them.
	Multicast Multicast
	// Limits bound what one source may ask for.
	Limits Limits
	// Timeouts bound what waits.
	Timeouts Timeouts
	// Logger gets what a person should know: handler errors, panics, a
	// socket that can't be read. Of each kind at most one line a second, with
	// the number of those not written. Nil means slog.Default().
	Logger *slog.Logger
	// Trace has callbacks for what happens to single datagrams; nil: none.
	Trace *Trace

	slots   slots
	logs    [kinds]episode
	once    sync.Once
	sources *sources // nil: no limits

	mu    sync.Mutex
	loops map[*loop]struct{} // those that have workers
	past  Stats              // the sum of the others
}

// Engine is a way to move datagrams. All mean the same. Where a socket or a system
// does not have the one that is asked for, the next simpler one does it.
type Engine uint8

// The engines.
const (
	// EngineAuto is EngineTrains.
	EngineAuto Engine = iota
	// EngineSingle moves one datagram per system call, on any
	// net.PacketConn.
	EngineSingle
	// EngineBatch moves many per system call: Linux, on a *net.UDPConn.
	EngineBatch
	// EngineTrains is EngineBatch, and datagrams from or to one peer go through
	// the system's network layers as one where they follow each other closely
	// (UDP_SEGMENT, Linux 4.18, and UDP_GRO, 5.12). They come out as they were
	// sent. A capture on this host shows them in one, and what the receive
	// buffer has no room for is lost, and counted, as one.
	EngineTrains
)

// Timeouts bound what waits. Zero is the stated default, negative is none.
type Timeouts struct {
	// Grace is how long a stop waits for the handlers before it ends their
	// contexts; 0 means 5 s, negative not at all.
	Grace time.Duration
}

// Trace has callbacks for what happens to single datagrams. Nil ones cost
// nothing. They are called from the goroutine that does the work, several at a
// time, and must not block.
type Trace struct {
	// ReplyFailed is called when a datagram that Reply or SendTo had taken
	// could not be sent. err wraps the system's errno. It is called too when
	// one was not taken because of Limits.ReplyFactor; err is ErrBudget then.
	ReplyFailed func(to addr.Endpoint, err error)
	// Dropped is called for each datagram that is received and not handled.
	Dropped func(from addr.Endpoint, why Drop)
}

// ListenAndServe listens on address and serves datagrams by h until ctx ends.
// It is what a Server with that Handler does.
func ListenAndServe(ctx context.Context, address string, h Handler) error {
	s := &Server{Handler: h}
	return s.ListenAndServe(ctx, address)
}

// ListenAndServe is ListenPacket, then Serve.
func (s *Server) ListenAndServe(ctx context.Context, address string) error {
	pc, err := s.ListenPacket(ctx, address)
	if err != nil {
		return err
	}
	return s.Serve(ctx, pc)
}

// Serve handles the datagrams that come to pc until ctx ends, and closes pc. It
// returns nil after a clean stop.
//
// When ctx ends, the datagrams that the system had queued by then are still
// handled and answered, at most as many bytes as the receive buffer holds. Then
// Serve waits for the handlers for Timeouts.Grace, ends their contexts, and
// waits one second more; the socket is closed last, so that replies leave. If
// handlers had to be cut off or abandoned, Serve returns a
// *sockets.DrainError that lists them. A socket whose SetReadDeadline fails can
// be woken only by closing it; then what was queued is lost.
//
// The sockets of a group (see Sockets) are all read to their end before any is
// closed, and an error that ends one ends all.
//
// pc may be of any type. A wrapper should hold the socket it wraps in a field, or
// embed the net.PacketConn interface. One that embeds *net.UDPConn gets all of its
// methods, and Serve takes those that don't allocate: so it must override
// ReadMsgUDPAddrPort, ReadFromUDPAddrPort, WriteMsgUDPAddrPort and
// WriteToUDPAddrPort beside ReadFrom and WriteTo, or it is bypassed.
//
// Errors of reading that pass (an ICMP message, a lack of memory) are counted
// and survived. Only what makes pc useless ends Serve: somebody else closed it,
// or it is no socket any more. Then Serve stops as it does when ctx ends, and
// returns the error, which wraps net.ErrClosed or the errno.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn) error {
	r, err := s.newRun(ctx, pc)
	if err != nil {
		pc.Close() // Serve closes what it is given, whatever happens
		return err
	}
	return r.serve(ctx)
}
