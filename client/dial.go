package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/internal/backoff"
	"example.com/sockets/internal/connhook"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

// DialTCP is Dialer.DialTCP with the zero Dialer.
func DialTCP(ctx context.Context, address string) (*sockets.Conn, error) {
	return new(Dialer).DialTCP(ctx, address)
}

// DialTCP connects to "host:port", "unix:/path" or "unix:@name", with TLS if
// Dialer.TLS says so. All addresses of a name are tried, in an order in which the
// families take turns: the next one when the one before has failed, or after
// 250 ms beside it (RFC 8305). The first connection wins and the others are
// closed; a failed TLS handshake is a failed address. The caller closes the Conn.
//
// The error is a *DialError: it matches what went wrong with each address, is
// sockets.NotSent, and tells whether time ran out (sockets.IsTimeout) or ctx
// ended, with the cause of that. ctx has no effect once DialTCP has returned.
func (d *Dialer) DialTCP(ctx context.Context, address string) (*sockets.Conn, error) {
	c, _, err := d.dialTCP(ctx, address)
	return c, err
}

// dialTCP is DialTCP, with a way to ask why the conversation is void, if it is.
func (d *Dialer) dialTCP(ctx context.Context, address string) (*sockets.Conn, func() error, error) {
	r := Report{Address: address, Start: time.Now()}
	nc, err := d.dial(ctx, &r)
	r.Took = time.Since(r.Start)
	if d.Report != nil {
		d.Report(r)
	}
	if err != nil {
		return nil, nil, &DialError{Report: r, Err: err}
	}
	c, g := connhook.New(nc, connhook.Options{Framing: d.Framing, Call: d.Timeout})
	return c.(*sockets.Conn), g.Broken, nil
}

// dial tries until it succeeds or Retry, ctx or the kind of the failure says that
// it is enough.
func (d *Dialer) dial(ctx context.Context, r *Report) (net.Conn, error) {
	wait := d.pauses()
	for round := 1; ; round++ {
		nc, err := d.round(ctx, r)
		if err == nil || ctx.Err() != nil || !d.again(round) || !isPassingDial(err) {
			return nc, err
		}
		if ended := pause(ctx, jitter(wait.Next())); ended != nil {
			return nil, failures{ended, err}
		}
	}
}

// pauses are those between dials that fail.
func (d *Dialer) pauses() backoff.Backoff {
	b := backoff.Backoff{
		Min: max(orDefault(d.Retry.First, firstTimeout), granularity),
		Max: orDefault(d.Retry.Max, maxTimeout),
	}
	if b.Max == 0 {
		b.Max = forever
	}
	return b
}

func (d *Dialer) again(round int) bool {
	return d.Retry.Attempts < 0 || round < d.Retry.Attempts
}

// pause waits for p, or less if ctx ends.
func pause(ctx context.Context, p time.Duration) error {
	t := time.NewTimer(p)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return operr.OfContext(ctx)
	}
}

// round tries every address once.
func (d *Dialer) round(ctx context.Context, r *Report) (net.Conn, error) {
	if ctx.Err() != nil {
		return nil, operr.OfContext(ctx)
	}
	ctx, cancel := d.withTimeout(ctx)
	defer cancel()
	start := time.Now()
	all, err := d.targets(ctx, r.Address)
	r.Resolving += time.Since(start)
	if err != nil {
		return nil, err
	}
	return d.race(ctx, all, r)
}

// target is an address and what DialContext calls it.
type target struct {
	to               addr.Endpoint // invalid for a unix socket
	network, address string
	host             string // for TLS
}

// targets is where address leads.
func (d *Dialer) targets(ctx context.Context, address string) ([]target, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if path == "" {
			return nil, errors.New(`a unix socket needs a name: "unix:/path" or "unix:@name"`)
		}
		return []target{{network: "unix", address: path}}, nil
	}
	found, err := d.resolve(ctx, addr.TCP, address)
	if err != nil {
		return nil, err
	}
	host, _, _ := addr.Split(addr.TCP, address)
	all := make([]target, len(found))
	for i, to := range found {
		all[i] = target{to, "tcp", to.HostPort(), serverName(host)}
	}
	return all, nil
}

// serverName is the name that a certificate has for a host: an absolute name
// without its dot, an address without its zone.
func serverName(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.WithZone("").String()
	}
	return strings.TrimSuffix(host, ".")
}

// reach makes one connection, ready for use. Its error is a bare cause.
func (d *Dialer) reach(ctx context.Context, t target) (net.Conn, error) {
	nc, err := d.connect(ctx, t.network, t.address, t.to)
	if err != nil {
		return nil, err
	}
	if local, ok := addr.From(nc.LocalAddr()); ok && local == t.to {
		nc.Close()
		return nil, errSelf
	}
	if d.TLS == nil {
		return nc, nil
	}
	c := d.TLS.Clone()
	if c.ServerName == "" {
		c.ServerName = t.host
	}
	over := tls.Client(guard.Below(nc), c)
	if err := over.HandshakeContext(ctx); err != nil {
		nc.Close()
		if ctx.Err() != nil {
			err = operr.OfContext(ctx)
		}
		return nil, handshakeError{err}
	}
	return over, nil
}

// errSelf: without a listener TCP may connect a socket to itself, when the system
// chooses the port that is dialled for the local one.
var errSelf = errors.New("connected to itself: no process listens at this port")

// isPassingDial reports whether a dial that failed with err may succeed a while
// later, and is worth another attempt: not where a name does not exist, an
// address is not allowed, or a certificate is wrong.
func isPassingDial(err error) bool {
	if operr.IsTimeout(err) || errors.Is(err, errSelf) || errors.Is(err, io.EOF) {
		return true // EOF: the peer accepted and left before TLS began
	}
	for _, errno := range passingDial {
		if errors.Is(err, errno) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(err, &dns) && (dns.IsTemporary || dns.IsTimeout)
}
