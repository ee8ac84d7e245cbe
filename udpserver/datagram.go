package udpserver

import (
	"bytes"
	"errors"

	"example.com/sockets/addr"
	"example.com/sockets/internal/udpio"
)

// Datagram is one received datagram, with the address of the process that sent
// it. It and its Data are valid until the handler returns; see Clone.
type Datagram struct {
	// From is the sender: Reply goes there. It is never IPv4-mapped. It is
	// invalid if the sender has no IP address, as on a Unix socket.
	From addr.Endpoint
	// To is the address that the sender has asked, and a reply leaves from. On
	// a socket that is bound to every address of the host it is known on
	// Linux, and on other systems it is the wildcard and the system chooses
	// where a reply leaves from. A reply to a broadcast or multicast leaves
	// from an address of the host's own.
	To addr.Endpoint
	// Data is the content. It may be empty: an empty datagram is a datagram.
	Data []byte
	// Truncated is set if the datagram was longer than Server.MaxSize, and
	// its rest is lost. See Server.KeepTruncated.
	Truncated bool
	// ECN is the congestion notification that the network has left in the IP
	// header: 0 not capable, 1 and 2 capable, 3 congestion experienced (RFC
	// 3168 section 5). It is 0 unless Server.ECN is set and the system tells.
	ECN uint8
	// Interface is the index of the network interface that the datagram came
	// in by, as in net.Interface; 0 where To is not known either, and on a
	// socket that is bound to one address, unless that is a group's.
	Interface int

	worker *worker
	kept   *kept
}

// kept is what a Clone needs, because its worker goes on to other datagrams.
type kept struct {
	loop  *loop
	route udpio.Route
}

// ErrReturned is matched by the error of a Reply or SendTo after the handler has
// returned. Clone makes a Datagram that can still reply then.
var ErrReturned = errors.New("the handler of the datagram has returned")

// Reply sends p to the sender. It copies p, so p may alias Data. An empty or nil
// p is an empty datagram. It is safe from several goroutines while the handler
// runs.
//
// A nil error means that p was taken for sending. It may be lost on its way, as
// any datagram, and the sending itself may fail: that is counted in Stats and
// told to Trace.ReplyFailed. The error is not nil if the handler has returned
// (it matches ErrReturned, and nothing is sent to anybody), if the socket is
// closed (net.ErrClosed), if p is longer than a datagram can be
// (sockets.ErrTooLong), if the sender has no address, or if Limits.ReplyFactor
// does not allow so much (ErrBudget).
//
// Replies to datagrams that were read together leave together, but no handler that
// waits holds them back, its own or others', and on several processors none that
// computes. Where it has the only one (GOMAXPROCS 1) a handler that goes on
// computing can hold back what its batch has replied until the scheduler takes the
// processor from it, after about 10 ms; runtime.Gosched lets it leave at once.
func (d *Datagram) Reply(p []byte) error {
	if d.kept != nil {
		return d.kept.loop.send("reply", p, d.kept.route, d.kept.route)
	}
	return d.worker.send(d, "reply", p, nil)
}

// SendTo sends p to another process, from the socket that d came to. What is
// said about Reply holds for SendTo.
func (d *Datagram) SendTo(to addr.Endpoint, p []byte) error {
	r := udpio.Route{Peer: to.AddrPort()}
	if d.kept != nil {
		return d.kept.loop.send("send", p, d.kept.route, r)
	}
	return d.worker.send(d, "send", p, &r)
}

// Validate says that the sender really is where d says that it comes from, because
// d has what only a reply can have told: a cookie, an answer to a challenge. It
// lifts Limits.ReplyFactor for that source (see Limits), on all sockets of the
// server, for an hour from the last call, or until another source that shares its
// place in the table is validated: so call it for each datagram that proves it.
// Without that limit it does nothing, nor does it after the handler has returned,
// except on a Clone. It is safe from several goroutines.
func (d *Datagram) Validate() {
	if d.kept != nil {
		d.kept.loop.server.sources.validate(d.kept.route.Peer)
		return
	}
	w := d.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current == d {
		w.loop.server.sources.validate(w.route.Peer)
	}
}

// Clone returns a copy of d, with Data of its own, that stays valid after the
// handler has returned. Its Reply and SendTo work from any goroutine until Serve
// closes the socket, and return net.ErrClosed from then on. Serve does not wait
// for clones.
func (d *Datagram) Clone() *Datagram {
	c := *d
	c.Data, c.worker = bytes.Clone(d.Data), nil
	if w := d.worker; w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		c.worker = w // so that a clone made too late says so when it replies
		if w.current == d {
			c.kept = &kept{w.loop, w.route}
		}
	}
	return &c
}
