package client

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
)

// Dialer says how to dial and how to call. The zero Dialer works. It must not be
// changed while it is in use, and may be used by many goroutines at once.
type Dialer struct {
	// Timeout bounds one attempt to dial, from the look-up of the name to the
	// end of the TLS handshake, and every call whose context has no deadline.
	// 0 is 10 s, negative is none.
	Timeout time.Duration
	// Framing tells the messages of a connection apart; nil is
	// sockets.Lines(0). UDP has no use for it.
	Framing sockets.Framing
	// TLS, if not nil, makes DialTCP a TLS client. If it names no ServerName,
	// the host of the address is it. It is cloned, not changed.
	TLS *tls.Config
	// Retry says how often, and after how long, a dial that failed and a UDP
	// request that was not answered are tried again.
	Retry Retry
	// Local is the address to dial from; its transport is not looked at. The
	// zero Endpoint, and a zero port, are the system's choice. With a port of
	// its own a UDP client can't change it, so that a late reply is taken for
	// the next call's: set Match or ID too. It then has one address at a time.
	Local addr.Endpoint
	// Match reports whether reply answers request, for UDP and Pipeline. With
	// it many calls are in flight on one socket, and whatever answers none of
	// them is dropped; without it UDP calls run one at a time and the next
	// datagram answers, and a Pipeline's replies come in order. It must not
	// block and may keep neither slice; several goroutines use it at once; a
	// reply over MaxReply comes cut.
	Match func(request, reply []byte) bool
	// ID returns the number in a message by which a reply belongs to its
	// request, and false where there is none: a request without one is not
	// sent, a reply without one is dropped. It does what Match does, but the
	// cost does not grow with the calls in flight; with both, Match has
	// the last word. An id is refused while a call in flight has it, and
	// should not come back as long as late replies to its last use may. The
	// rules for Match apply.
	ID func(message []byte) (id uint64, ok bool)
	// MaxReply is the longest datagram that UDP takes, in bytes; one that is
	// longer is sockets.ErrTruncated, on every system. 0 is 65,535, which no
	// datagram exceeds; negative is the same.
	MaxReply int
	// FailFast ends a UDP call with ErrPortUnreachable as soon as the peer's
	// host says that no process has the port. Otherwise the call goes on, as
	// the process may be restarting.
	FailFast bool
	// DialContext replaces net.Dialer: a proxy, an in-memory network. It gets
	// "tcp" or "udp" with a literal address, or "unix" with a path, and must
	// return when ctx ends. What it returns for "udp" must be connected, as
	// what net.Dialer returns is: one Write is one datagram, and nothing of
	// another sender is read. Local is then for it to heed.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Resolve replaces addr.Resolve: it returns the addresses of "host:port"
	// in the order in which to try them, and must return when ctx ends.
	Resolve func(ctx context.Context, t addr.Transport, address string) ([]addr.Endpoint, error)
	// Allow, if not nil, is asked about each address that is about to be
	// dialled, after names were resolved, and an error forbids it: so a name
	// or an odd spelling can't lead where its address may not. For a unix
	// socket it is asked about the zero Endpoint.
	Allow func(addr.Endpoint) error
	// Report, if not nil, is called once by each DialTCP, before that returns,
	// and by each dial of a Pool or a Pipeline, and told how it went.
	Report func(Report)
}

// Retry says how often and when to try again. The wait doubles from attempt to
// attempt, and each is lengthened by up to a quarter at random, so that clients
// that failed together do not return together.
type Retry struct {
	// Attempts is how often to try in all. 0 is once for a dial, and for a UDP
	// call as often as its deadline allows; negative is as often as the
	// context allows for both. A UDP call waits its full time after the last.
	Attempts int
	// First is the wait before the second attempt. 0 is 1 s (RFC 6298, 2.1).
	// A UDP client that has measured a round trip waits RTT.Timeout instead.
	First time.Duration
	// Min is the shortest wait that a UDP client takes from its measurements.
	// 0 is 100 ms, negative is none.
	Min time.Duration
	// Max is the longest wait. 0 is 60 s (RFC 6298, 2.5), negative is none.
	Max time.Duration
}

// defaultTimeout is Dialer.Timeout's default.
const defaultTimeout = 10 * time.Second

// DialUDP is Dialer.DialUDP with the zero Dialer.
func DialUDP(ctx context.Context, address string) (*UDP, error) {
	return new(Dialer).DialUDP(ctx, address)
}

func (d *Dialer) timeout() time.Duration { return orDefault(d.Timeout, defaultTimeout) }

// withTimeout bounds ctx by Timeout. The returned function must be called.
func (d *Dialer) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if t := d.timeout(); t > 0 {
		return context.WithTimeout(ctx, t)
	}
	return ctx, func() {}
}

// limit is when a call that began then has to end; zero if ctx alone says so.
func (d *Dialer) limit(ctx context.Context, began time.Time) time.Time {
	if _, ok := ctx.Deadline(); ok || d.timeout() == 0 {
		return time.Time{}
	}
	return began.Add(d.timeout())
}

// rtt is an estimator with the limits of Retry.
func (d *Dialer) rtt() RTT {
	return RTT{First: d.Retry.First, Min: d.Retry.Min, Max: d.Retry.Max}
}
