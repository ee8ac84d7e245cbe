package client_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// world is a network in virtual time with a client and a server host.
type world struct {
	*simnet.Network
	t      *testing.T
	client *simnet.Host
	server *simnet.Host
	start  time.Time
}

// inWorld runs f in virtual time.
func inWorld(t *testing.T, o simnet.Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(o)
		f(t, &world{n, t, n.Host("client"), n.Host("server"), time.Now()})
	})
}

// now is the virtual time since the world was made.
func (w *world) now() time.Duration { return time.Since(w.start) }

// dialer is d with the world's network.
func (w *world) dialer(d client.Dialer) *client.Dialer {
	d.DialContext = w.client.DialContext
	return &d
}

// udp serves UDP at the server's port 7, and returns where to dial. f gets the
// ordinal of each datagram and its text, and may answer as it likes.
func (w *world) udp(f func(n int, request []byte, answer func(string))) string {
	pc, err := w.server.ListenPacket(w.t.Context(), "udp", ":7")
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	w.t.Cleanup(func() { pc.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 65_536)
		for n := 1; ; n++ {
			size, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			f(n, buf[:size], func(reply string) { pc.WriteTo([]byte(reply), from) })
		}
	}()
	return net.JoinHostPort(w.server.Addr().String(), "7")
}

// resolver answers every name with these hosts.
func resolver(hosts ...string) func(context.Context, addr.Transport, string) ([]addr.Endpoint, error) {
	return func(_ context.Context, t addr.Transport, s string) ([]addr.Endpoint, error) {
		_, port, err := addr.Split(t, s)
		var all []addr.Endpoint
		for _, h := range hosts {
			all = append(all, addr.Of(t, netip.MustParseAddr(h), port))
		}
		return all, err
	}
}

// near reports whether d is a wait of want, with its jitter of up to a quarter.
func near(d, want time.Duration) bool { return d >= want && d <= want+want/4 }

func parseAll(hosts ...string) []netip.Addr {
	var all []netip.Addr
	for _, h := range hosts {
		all = append(all, netip.MustParseAddr(h))
	}
	return all
}
