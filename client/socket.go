package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// socket is one local port of a UDP client, and has a goroutine that reads it
// until it is closed.
type socket struct {
	net.Conn
	path  *path
	local addr.Endpoint
	scan  []*call // the reader's own, used again

	// Guarded by UDP.mu.
	retired bool // what comes here is too late
	broken  bool // its reader has ended
}

// open returns the path's socket, and makes a new one where there is none, or
// only a retired or a broken one. One goroutine at a time does, under no lock,
// and the others wait.
func (u *UDP) open(ctx context.Context, p *path) (*socket, error) {
	if s, err := u.usable(p); s != nil || err != nil {
		return s, err
	}
	select {
	case p.opening <- struct{}{}:
		defer func() { <-p.opening }()
	case <-ctx.Done():
		return nil, operr.OfContext(ctx)
	case <-u.closed:
		return nil, net.ErrClosed
	}
	if s, err := u.usable(p); s != nil || err != nil {
		return s, err
	}
	if u.d.Local.Port() != 0 {
		u.mu.Lock()
		all := u.detachLocked(nil)
		u.mu.Unlock()
		_ = closeAll(all) // two sockets can't have one port
	}
	nc, err := u.d.connect(ctx, "udp", p.to.HostPort(), p.to)
	if err != nil {
		u.note(p, err)
		return nil, err
	}
	return u.install(p, nc)
}

// usable returns the path's socket, nil if there is none that can be used.
func (u *UDP) usable(p *path) (*socket, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.isClosed {
		return nil, net.ErrClosed
	}
	if p.socket == nil || p.socket.retired || p.socket.broken {
		return nil, nil
	}
	return p.socket, nil
}

// install makes nc the path's socket. The one before it is closed only now, so
// that the system could not give its port, which late replies go to, to nc.
func (u *UDP) install(p *path, nc net.Conn) (*socket, error) {
	local, _ := addr.From(nc.LocalAddr())
	s := &socket{Conn: nc, path: p, local: local}
	u.mu.Lock()
	old := p.socket
	closed := u.isClosed
	if !closed {
		p.socket = s
		u.readers.Go(func() { u.read(s) })
	}
	u.mu.Unlock()
	if closed {
		return nil, errors.Join(net.ErrClosed, nc.Close())
	}
	if old != nil {
		old.Close()
	}
	return s, nil
}

// detachLocked takes the sockets from all paths but keep, for closing.
func (u *UDP) detachLocked(keep *path) []*socket {
	var all []*socket
	for _, p := range u.paths {
		if p != keep && p.socket != nil {
			all = append(all, p.socket)
			p.socket = nil
		}
	}
	return all
}

func closeAll(all []*socket) error {
	var failed []error
	for _, s := range all {
		failed = append(failed, s.Close())
	}
	return errors.Join(failed...)
}

// transmit writes one datagram to p. An error proves that it was not sent.
func (u *UDP) transmit(ctx context.Context, p *path, datagram []byte) error {
	s, err := u.open(ctx, p)
	if err != nil {
		return err
	}
	if err = u.write(s, datagram); err != nil && errors.Is(err, net.ErrClosed) {
		if s, err = u.open(ctx, p); err == nil { // it was changed at this moment
			err = u.write(s, datagram)
		}
	}
	return err
}

// write writes one datagram to s. On a connected socket a write reports that an
// earlier datagram came back, and does not send: so it is tried again, once. What
// becomes of this one is another question.
func (u *UDP) write(s *socket, datagram []byte) error {
	_, err := s.Write(datagram)
	if isBounce(err) {
		u.count(func(c *UDPStats) { c.Bounced++ })
		_, err = s.Write(datagram)
	}
	switch {
	case err == nil:
		u.count(func(c *UDPStats) { c.Sent++ })
		return nil
	case isBounce(err):
		u.bounced(s, err)
		return unreachable(err)
	case errors.Is(err, errMessageSize):
		return fmt.Errorf("datagram of %d bytes: %w: %w", len(datagram), sockets.ErrTooLong, operr.Bare(err))
	}
	u.note(s.path, err) // a socket that is beyond use fails its reader too
	return operr.Bare(err)
}

// isBounce reports whether err is the report of an earlier datagram that came
// back: ICMP port unreachable, as Linux and the BSDs tell it. Go has switched
// Windows' form of it off.
func isBounce(err error) bool { return err != nil && errors.Is(err, syscall.ECONNREFUSED) }

// isPassing reports whether a read's err is about the way to the peer and not
// about the socket, which goes on.
func isPassing(err error) bool {
	for _, errno := range passing {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// unreachable is ErrPortUnreachable with the errno that the system gave.
func unreachable(err error) error {
	return fmt.Errorf("%w: %w", ErrPortUnreachable, operr.Bare(err))
}

// read delivers what comes in until the socket is closed or can't be read any
// more. What is wrong with one datagram, or with the way, doesn't end it: every
// such error follows a datagram, so that the loop can't spin.
func (u *UDP) read(s *socket) {
	buf := make([]byte, u.maxReply()+1) // the byte more tells what was too long
	for {
		n, err := s.Read(buf)
		now := time.Now()
		switch {
		case err == nil:
			u.deliver(s, buf[:n], now)
		case cutsLoudly && errors.Is(err, errMessageSize): // buf is full all the same
			u.deliver(s, buf, now)
		case isBounce(err):
			u.bounced(s, err)
		case isPassing(err):
			u.note(s.path, err)
		default:
			u.failed(s, err)
			return
		}
	}
}

// maxDatagram is what the length field of UDP can say, 8 bytes of header
// included (RFC 768).
const maxDatagram = 65_535

func (u *UDP) maxReply() int {
	if m := u.d.MaxReply; m > 0 && m < maxDatagram {
		return m
	}
	return maxDatagram
}
