package udpserver

import (
	"bytes"
	"errors"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/udpio"
)

// Datagram is one received datagram, with the address of the process that sent
// it. It and its Data are valid until the handler returns; see Clone.
type Datagram struct {
	// From is the sender: Reply goes there. It is never IPv4-mapped. It is
	// invalid if the sender has no IP address, as on a Unix socket.
	From addr.Endpoint
	// To is the address the sender has asked: that of the socket.
	To addr.Endpoint
	// Data is the content. It may be empty: an empty datagram is a datagram.
	Data []byte
	// Truncated is set if the datagram was longer than Server.MaxSize, and
	// its rest is lost. See Server.KeepTruncated.
	Truncated bool

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
// (sockets.ErrTooLong), or if the sender has no address.
func (d *Datagram) Reply(p []byte) error {
	l, r, err := d.origin("reply")
	if err != nil {
		return err
	}
	return l.send("reply", p, r)
}

// SendTo sends p to another process, from the socket that d came to. What is
// said about Reply holds for SendTo.
func (d *Datagram) SendTo(to addr.Endpoint, p []byte) error {
	l, _, err := d.origin("send")
	if err != nil {
		return err
	}
	return l.send("send", p, udpio.Route{Peer: to.AddrPort()})
}

// Clone returns a copy of d, with Data of its own, that stays valid after the
// handler has returned. Its Reply and SendTo work from any goroutine until Serve
// closes the socket, and return net.ErrClosed from then on. Serve does not wait
// for clones.
func (d *Datagram) Clone() *Datagram {
	l, r, err := d.origin("clone")
	c := &Datagram{From: d.From, To: d.To, Data: bytes.Clone(d.Data), Truncated: d.Truncated}
	if err == nil {
		c.kept = &kept{l, r}
	}
	return c
}

// origin finds the socket that d came to and the way back to its sender. A
// Datagram is never used for a second one if its handler could have kept the
// pointer, so the worker's current one being d proves that the handler runs.
func (d *Datagram) origin(op string) (*loop, udpio.Route, error) {
	switch {
	case d.kept != nil:
		return d.kept.loop, d.kept.route, nil
	case d.worker == nil:
		return nil, udpio.Route{}, &operr.Error{Op: op, Local: d.To, Remote: d.From, Err: ErrReturned}
	}
	w := d.worker
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != d {
		return nil, udpio.Route{}, &operr.Error{Op: op, Err: ErrReturned}
	}
	return w.loop, w.route, nil
}
