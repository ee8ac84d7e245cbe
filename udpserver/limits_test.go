package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// town is a server and its clients, each on a host of its own, in virtual time.
type town struct {
	t    *testing.T
	net  *simnet.Network
	s    *udpserver.Server
	stop func() error
}

func newTown(t *testing.T, s *udpserver.Server) *town {
	t.Helper()
	n := simnet.New(simnet.Options{Datagrams: -1, Trace: -1})
	host := n.Host("server", netip.MustParseAddr("10.0.0.100"), netip.MustParseAddr("2001:db8:ff::1"))
	pc, err := host.ListenPacket(t.Context(), "udp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	town := &town{t: t, net: n, s: s, stop: serveOn(t, s, pc)}
	synctest.Wait()
	return town
}

// client is a new socket on the host that has the address.
func (n *town) client(address string) net.Conn {
	n.t.Helper()
	a := netip.MustParseAddr(address)
	to := "10.0.0.100:9000"
	if a.Is6() {
		to = "[2001:db8:ff::1]:9000"
	}
	c, err := n.net.Host("host "+address, a).DialContext(n.t.Context(), "udp", to)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

// handled sends n datagrams one after the other, and returns how many of them were
// handled.
func (n *town) handled(c net.Conn, datagrams, size int) int {
	n.t.Helper()
	before := n.s.Stats().Handled
	for range datagrams {
		send(n.t, c, string(make([]byte, size)))
		synctest.Wait()
	}
	return int(n.s.Stats().Handled - before)
}

func TestRate(t *testing.T) {
	type step struct {
		at         time.Duration // since the beginning
		sent, want int
	}
	const third = time.Second / 3 // rounded down
	tests := []struct {
		name   string
		limits udpserver.Limits
		steps  []step
	}{
		{"off", udpserver.Limits{Burst: 1}, []step{{0, 100, 100}}},
		{"negative", udpserver.Limits{Rate: -1}, []step{{0, 100, 100}}},
		{"with a burst", udpserver.Limits{Rate: 10, Burst: 5}, []step{
			{0, 8, 5}, {99 * time.Millisecond, 1, 0}, {100 * time.Millisecond, 2, 1}, {550 * time.Millisecond, 9, 4}, {time.Minute, 9, 5},
		}},
		{"the burst is the rate", udpserver.Limits{Rate: 3}, []step{{0, 5, 3}, {third, 1, 0}, {third + 1, 2, 1}}},
		{"one at a time", udpserver.Limits{Rate: 1, Burst: 1}, []step{{0, 2, 1}, {time.Second - 1, 1, 0}, {time.Second, 2, 1}}},
		{"a huge burst", udpserver.Limits{Rate: 1, Burst: 1<<31 - 1}, []step{{0, 1000, 1000}}},
		{"a huge rate", udpserver.Limits{Rate: 1<<31 - 1}, []step{{0, 1000, 1000}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var traced atomic.Uint64
				s := &udpserver.Server{Handler: echo, Limits: tt.limits, Trace: &udpserver.Trace{Dropped: func(_ addr.Endpoint, why udpserver.Drop) {
					if why == udpserver.DropRate {
						traced.Add(1)
					}
				}}}
				n := newTown(t, s)
				c := n.client("10.0.0.1")
				start := time.Now()
				var drops uint64
				for _, step := range tt.steps {
					if wait := step.at - time.Since(start); wait > 0 {
						time.Sleep(wait)
					}
					if got := n.handled(c, step.sent, 1); got != step.want {
						t.Errorf("after %v: %d of %d were handled, want %d", step.at, got, step.sent, step.want)
					}
					drops += uint64(step.sent - step.want)
				}
				n.stop()
				if st := ledger(t, s); st.Dropped.Rate != drops || traced.Load() != drops {
					t.Errorf("dropped %d, traced %d, want %d", st.Dropped.Rate, traced.Load(), drops)
				}
			})
		})
	}
}

// A source is an address without its port, or a /64.
func TestSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTown(t, &udpserver.Server{Handler: echo, Limits: udpserver.Limits{Rate: 1, Burst: 1}})
		for _, source := range []struct {
			address string
			want    int
		}{
			{"10.0.0.1", 1}, {"10.0.0.2", 1}, {"10.0.0.1", 0},
			{"2001:db8::1", 1}, {"2001:db8::2", 0}, {"2001:db8:0:1::1", 1},
		} {
			if got := n.handled(n.client(source.address), 1, 1); got != source.want {
				t.Errorf("%s: %d datagrams of a new socket were handled, want %d", source.address, got, source.want)
			}
		}
	})
	for _, tt := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "::ffff:10.0.0.1", true},
		{"10.0.0.1", "::ffff:10.0.0.2", false},
		{"fe80::1%eth0", "fe80::2", true},
		{"::1", "0.0.0.0", false},
	} {
		if got := udpserver.SourceOf(netip.MustParseAddr(tt.a)) == udpserver.SourceOf(netip.MustParseAddr(tt.b)); got != tt.same {
			t.Errorf("%s and %s are one source: %v", tt.a, tt.b, got)
		}
	}
}

// flooded is a socket to which n forged sources send, between two datagrams of the
// same one.
type flooded struct {
	net.PacketConn
	n, read int
}

func (f *flooded) ReadFrom(p []byte) (int, net.Addr, error) {
	f.read++
	if f.read > f.n+2 {
		return f.PacketConn.ReadFrom(p)
	}
	from := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	if f.read > 1 && f.read < f.n+2 {
		from.IP = net.IPv4(10, byte(f.read>>16), byte(f.read>>8), byte(f.read))
	}
	return copy(p, "x"), from, nil
}

// A flood of sources can't make the table forget what one of them has used up.
func TestFloodOfSources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last atomic.Value
		s := &udpserver.Server{
			Limits:  udpserver.Limits{Rate: 1, Burst: 1},
			Handler: func(context.Context, *udpserver.Datagram) error { return nil },
			Trace:   &udpserver.Trace{Dropped: func(from addr.Endpoint, _ udpserver.Drop) { last.Store(from.Addr().String()) }},
		}
		const n = 70_000
		pc, _ := simPair(t)
		stop := serveOn(t, s, &flooded{PacketConn: pc, n: n})
		synctest.Wait()
		stop()
		if got := last.Load(); got != "192.0.2.1" {
			t.Errorf("the last that was dropped is of %v", got)
		}
		if st := ledger(t, s); st.Received != n+2 || st.Handled > 1<<16 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A datagram from port 0 can't be answered. Only a raw socket sends one.
func TestPortZero(t *testing.T) {
	raw, err := net.ListenPacket("ip4:udp", "127.0.0.1")
	if err != nil {
		t.Skipf("a datagram from port 0 takes a raw socket: %v", err)
	}
	defer raw.Close()
	dropped := make(chan addr.Endpoint, 1)
	s := &udpserver.Server{Handler: echo, Trace: &udpserver.Trace{Dropped: func(from addr.Endpoint, why udpserver.Drop) {
		if why == udpserver.DropPortZero {
			dropped <- from
		}
	}}}
	to, stop := serve(t, s)
	port := to.(*net.UDPAddr).Port
	datagram := []byte{0, 0, byte(port >> 8), byte(port), 0, 8 + 2, 0, 0, 'h', 'i'} // RFC 768; no checksum
	if _, err := raw.WriteTo(datagram, &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	if from := <-dropped; from != addr.MustParse(addr.UDP, "127.0.0.1:0") {
		t.Errorf("dropped one of %v", from)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if st := ledger(t, s); st.Dropped.PortZero != 1 || st.Received != 1 {
		t.Errorf("stats %+v", st)
	}
}

// Two servers that answer errors with errors: with a budget they fall silent, for
// ever, whatever the sizes.
func TestErrorsWithErrors(t *testing.T) {
	const most = 1000 // replies to one source without a pause
	tests := []struct {
		name    string
		factor  int
		copies  int // of each error
		ends    bool
		handled [2]uint64 // exactly, where that is known
	}{
		{"no budget", 0, 1, false, [2]uint64{}},
		{"each as long as the other", 3, 1, true, [2]uint64{most + 1, most}},
		{"each answered twice", 3, 2, true, [2]uint64{}},
		{"the second is too much", 1, 2, true, [2]uint64{most + 1, most}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(simnet.Options{Link: simnet.Link{Latency: 10 * time.Millisecond}, Trace: -1})
				var servers [2]*udpserver.Server
				var sockets [2]net.PacketConn
				for i := range servers {
					pc, err := n.Host(fmt.Sprint(i), netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})).ListenPacket(t.Context(), "udp", ":7")
					if err != nil {
						t.Fatal(err)
					}
					servers[i], sockets[i] = &udpserver.Server{Limits: udpserver.Limits{ReplyFactor: tt.factor}, Logger: quiet, Handler: func(_ context.Context, d *udpserver.Datagram) error {
						for range tt.copies - 1 {
							d.Reply([]byte("what?"))
						}
						return d.Reply([]byte("what?"))
					}}, pc
				}
				sockets[1].WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7})
				for i, s := range servers {
					serveOn(t, s, sockets[i])
				}
				time.Sleep(30 * time.Second) // 1,500 times there and back
				after := servers[0].Stats()
				time.Sleep(2 * time.Second)
				if ended := servers[0].Stats() == after; ended != tt.ends {
					t.Errorf("they have fallen silent: %v; %+v", ended, servers[0].Stats())
				}
				for i, s := range servers {
					st := s.Stats()
					if tt.ends && st.Sent > most || tt.handled[0] > 0 && st.Handled != tt.handled[i] {
						t.Errorf("server %d: %+v", i, st)
					}
				}
			})
		})
	}
}
