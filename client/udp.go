package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// ErrPortUnreachable: the peer's host has answered that no process has the port.
// Only Unix systems tell (ECONNREFUSED, which it comes with); elsewhere a dead
// port is silent.
var ErrPortUnreachable = errors.New("port unreachable: no process has it")

// UDP is a client socket: datagrams to one destination and from nobody else. Its
// methods may be used by many goroutines at once. Close it when done.
//
// Where a name has several addresses each has a socket of its own until one of
// them has answered, which is then kept.
type UDP struct {
	d       Dialer        // a copy: a configuration is not changed in use
	turn    chan struct{} // one slot: the call in progress, if there are turns
	closed  chan struct{}
	inbox   chan letter    // for Receive
	readers sync.WaitGroup // one per socket; added to under mu, while open
	many    error          // why nothing can be received, nil if it can

	flight // and its mu, which guards the rest

	isClosed bool
	pairing  bool    // Send or Receive is in use: what answers no call is kept
	paths    []*path // never empty
	chosen   *path   // the one that answered
	stats    UDPStats
}

// path is one address of the destination, and the socket that leads to it.
type path struct {
	to      addr.Endpoint
	opening chan struct{} // one slot: who dials

	// Guarded by UDP.mu.
	socket   *socket // nil: not dialled
	rtt      RTT
	failures int       // everything that went wrong
	trouble  error     // the last of it, nil after a datagram has come
	troubled time.Time // when that was
}

// letter is a datagram for Receive, or the error in its place.
type letter struct {
	data []byte
	err  error
}

// inboxLen is how many datagrams wait for Receive; what comes on top is dropped
// and counted, as the kernel does.
const inboxLen = 64

// DialUDP makes a client for "host:port". It sends nothing, so that it succeeds
// whether or not there is a server. The error is a *DialError, as from DialTCP;
// ctx has no effect once it has returned.
//
// To a multicast group or a broadcast address the client can only Send: whoever
// replies does so from an address of its own, which a connected socket does not
// hear, so that Call and Receive fail at once. The system's routes say which
// interface it sends from, or Dialer.Local, if that is an address of the interface,
// and nothing leaves the link. For replies, and for a choice, there is
// udpserver.Server.ListenPacket.
func (d *Dialer) DialUDP(ctx context.Context, address string) (*UDP, error) {
	ctx, cancel := d.withTimeout(ctx)
	defer cancel()
	u := &UDP{
		d:      *d,
		turn:   make(chan struct{}, 1),
		closed: make(chan struct{}),
		inbox:  make(chan letter, inboxLen),
	}
	u.flight.init(d)
	r := Report{Address: address, Start: time.Now()}
	if err := u.addPaths(ctx, &r); err != nil {
		r.Took = time.Since(r.Start)
		return nil, &DialError{Report: r, Err: err}
	}
	return u, nil
}

// addPaths resolves the address and opens the first socket that can be: an error
// that concerns every address is known now, and the other addresses wait until
// they are needed.
func (u *UDP) addPaths(ctx context.Context, r *Report) error {
	all, err := u.d.resolve(ctx, addr.UDP, r.Address)
	r.Resolving = time.Since(r.Start)
	if err != nil {
		return err
	}
	var failed failures
	for _, to := range all {
		p := &path{to: to, opening: make(chan struct{}, 1), rtt: u.d.rtt()}
		if len(u.paths) == 0 {
			a := Attempt{To: to, Address: to.HostPort(), Start: time.Now()}
			if _, err := u.open(ctx, p); err != nil {
				a.Took, a.Err = time.Since(a.Start), a.fail(err)
				r.Attempts = append(r.Attempts, a)
				failed = append(failed, a.Err)
				continue
			}
		}
		u.paths = append(u.paths, p)
		u.many = errors.Join(u.many, u.d.many(to))
	}
	if len(u.paths) == 0 {
		return failed
	}
	return nil
}

// Remote is the destination: the address that answered, before that the first to
// be tried.
func (u *UDP) Remote() addr.Endpoint {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pathLocked().to
}

// Local is the address of the socket in use, which changes when a port is
// retired; invalid while there is none.
func (u *UDP) Local() addr.Endpoint {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pathLocked().localLocked()
}

// RTT is the estimate for Remote as it is now.
func (u *UDP) RTT() RTT {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.pathLocked().rtt
}

// pathLocked is the path that answered, before that the first that is not in
// trouble.
func (u *UDP) pathLocked() *path {
	if u.chosen != nil {
		return u.chosen
	}
	for _, p := range u.paths {
		if p.trouble == nil {
			return p
		}
	}
	return u.paths[0]
}

func (p *path) localLocked() addr.Endpoint {
	if p.socket == nil {
		return addr.Endpoint{}
	}
	return p.socket.local
}

// Send sends one datagram, empty ones too, and expects nothing. nil means that
// the system took it. It is sent again, once, if the system reports instead that
// an earlier datagram came back, and to the next address while none has answered
// and this one can't be reached. An error proves that nothing was sent.
func (u *UDP) Send(p []byte) error {
	ctx, cancel := u.d.withTimeout(context.Background())
	defer cancel()
	u.pair()
	var last error
	for _, path := range u.candidates() {
		if last = u.transmit(ctx, path, p); last == nil || errors.Is(last, net.ErrClosed) {
			break
		}
	}
	return u.failure("send", last)
}

// Receive waits for the next datagram that answers no call, and returns it; it
// is the caller's. Of those that come between two calls of Receive 64 are kept.
// It ends with sockets.ErrTruncated for a datagram over MaxReply, with
// ErrPortUnreachable if Dialer.FailFast is set, with net.ErrClosed after Close,
// and when ctx ends; ctx needs no deadline.
func (u *UDP) Receive(ctx context.Context) ([]byte, error) {
	if u.many != nil {
		return nil, u.failure("receive", u.many)
	}
	u.pair()
	u.mu.Lock()
	p := u.pathLocked()
	u.mu.Unlock()
	if _, err := u.open(ctx, p); err != nil {
		return nil, u.failure("receive", err)
	}
	select {
	case l := <-u.inbox:
		return l.data, u.failure("receive", l.err)
	case <-ctx.Done():
		return nil, u.failure("receive", operr.OfContext(ctx))
	case <-u.closed:
		return nil, u.failure("receive", net.ErrClosed)
	}
}

// pair begins to keep what answers no call.
func (u *UDP) pair() {
	u.mu.Lock()
	u.pairing = true
	u.mu.Unlock()
}

// candidates is the path that answered, before that all, those in trouble last.
func (u *UDP) candidates() []*path {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.chosen != nil {
		return []*path{u.chosen}
	}
	var well, ill []*path
	for _, p := range u.paths {
		if p.trouble == nil {
			well = append(well, p)
		} else {
			ill = append(ill, p)
		}
	}
	return append(well, ill...)
}

// Close closes the sockets and returns when their readers have ended. Every call
// in progress ends with net.ErrClosed. Closing again is nil.
func (u *UDP) Close() error {
	u.mu.Lock()
	var open []*socket
	if !u.isClosed {
		u.isClosed = true
		close(u.closed)
		open = u.detachLocked(nil)
	}
	u.mu.Unlock()
	err := closeAll(open)
	u.readers.Wait()
	return err
}
