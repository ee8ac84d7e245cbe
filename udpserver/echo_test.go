package udpserver_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// member is a socket in memory that is bound to a group, though on this host.
type member struct {
	syscall.Conn
	local  *net.UDPAddr
	in     chan letter
	woken  chan struct{}
	closed chan struct{}
}

type letter struct {
	from string
	data string
}

func newMember(t *testing.T, local string, real syscall.Conn) *member {
	return &member{
		real, net.UDPAddrFromAddrPort(addr.MustParse(addr.UDP, local).AddrPort()),
		make(chan letter), make(chan struct{}), make(chan struct{}),
	}
}

// ordinary is a socket of one process only.
func ordinary(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (m *member) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case l := <-m.in:
		return copy(b, l.data), net.UDPAddrFromAddrPort(addr.MustParse(addr.UDP, l.from).AddrPort()), nil
	case <-m.woken:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (m *member) SetReadDeadline(d time.Time) error {
	if !d.IsZero() && !d.After(time.Now()) {
		close(m.woken)
	}
	return nil
}

func (m *member) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (m *member) Close() error                              { return nil }
func (m *member) LocalAddr() net.Addr                       { return m.local }
func (m *member) SetDeadline(time.Time) error               { return nil }
func (m *member) SetWriteDeadline(time.Time) error          { return nil }

// What a member has sent is dropped when it comes back: once, from an address of
// this host, whatever of it is read, and for ten seconds.
func TestEcho(t *testing.T) {
	const group, here, elsewhere = "239.1.2.3:12000", "127.0.0.1:12000", "192.0.2.99:12000"
	type step struct {
		from, data string
		wait       time.Duration // before
		want       bool          // it is handled
	}
	for _, tt := range []struct {
		name  string
		to    string // where it sends "alive" when it hears "go"
		times int
		steps []step
	}{
		{"itself once", group, 1, []step{{here, "alive", 0, false}, {here, "alive", 0, true}}},
		{"itself twice", group, 2, []step{{here, "alive", 0, false}, {here, "alive", 0, false}, {here, "alive", 0, true}}},
		{"another host", group, 1, []step{{elsewhere, "alive", 0, true}, {here, "alive", 0, false}}},
		{"something else", group, 1, []step{{here, "dead", 0, true}, {here, "aliv", 0, true}, {here, "alive", 0, false}}},
		{"the beginning of a longer one", group, 1, []step{{here, "alive!", 0, true}}},
		{"another port", group, 1, []step{{"127.0.0.1:12001", "alive", 0, true}, {here, "alive", 0, false}}},
		{"in time", group, 1, []step{{here, "alive", 9 * time.Second, false}}},
		{"too late", group, 1, []step{{here, "alive", 11 * time.Second, true}}},
		{"another group", "239.1.2.4:12001", 1, []step{{here, "alive", 0, true}}},
		{"a host", "127.0.0.1:12000", 1, []step{{here, "alive", 0, true}}},
		{"very many", group, 2000, slices.Repeat([]step{{here, "alive", 0, false}}, 1000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMember(t, group, ordinary(t))
				to := addr.MustParse(addr.UDP, tt.to)
				s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
					for range tt.times {
						if string(d.Data) == "go" {
							d.SendTo(to, []byte("alive"))
						}
					}
					return nil
				}}
				serveOn(t, s, m)
				m.in <- letter{elsewhere, "go"}
				for i, step := range tt.steps {
					synctest.Wait()
					time.Sleep(step.wait)
					before := s.Stats()
					m.in <- letter{step.from, step.data}
					synctest.Wait()
					after := s.Stats()
					if handled := after.Handled > before.Handled; handled != step.want || handled == (after.Dropped.Self > before.Dropped.Self) {
						t.Fatalf("step %d, %q from %s: handled %v", i, step.data, step.from, handled)
					}
				}
			})
		})
	}
}

// To a socket that is bound to one address nothing comes back but from there: who says
// the same from another host, at the same port, is heard.
func TestEchoOfAnotherHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const elsewhere = "192.0.2.99:12000"
		m := newMember(t, "192.0.2.1:12000", ordinary(t))
		s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
			return d.SendTo(addr.MustParse(addr.UDP, "239.1.2.3:12000"), []byte("alive"))
		}}
		serveOn(t, s, m)
		for range 3 {
			m.in <- letter{elsewhere, "alive"}
			synctest.Wait()
		}
		if st := s.Stats(); st.Handled != 3 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A datagram that comes back cut is one's own too.
func TestEchoIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const group, here = "239.1.2.3:12000", "127.0.0.1:12000"
		m := newMember(t, group, ordinary(t))
		s := &udpserver.Server{MaxSize: 4, KeepTruncated: true, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			return d.SendTo(addr.MustParse(addr.UDP, group), []byte("much too long"))
		}}
		serveOn(t, s, m)
		m.in <- letter{"192.0.2.99:12000", "go"}
		synctest.Wait()
		m.in <- letter{here, "much too long"}
		synctest.Wait()
		if st := s.Stats(); st.Handled != 1 || st.Dropped.Self != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// On a wildcard that is shared, as members have it where none is bound to its group,
// an answer to oneself is heard. It is not answered.
func TestEchoOfAReply(t *testing.T) {
	const here = "127.0.0.1:12000"
	real := open(t, &udpserver.Server{Multicast: within(t, group4)}, group4)
	synctest.Test(t, func(t *testing.T) {
		m := newMember(t, "0.0.0.0:12000", real)
		s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
			return d.Reply([]byte("answer"))
		}}
		serveOn(t, s, m)
		m.in <- letter{here, "what pc.WriteTo has sent to the group"}
		synctest.Wait()
		m.in <- letter{here, "answer"}
		synctest.Wait()
		m.in <- letter{here, "another member's"}
		synctest.Wait()
		if st := s.Stats(); st.Handled != 2 || st.Dropped.Self != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// A member that sends to its own group does not answer itself, and hears another
// one of the same host, address and port, also if that sends the same.
func TestAMemberIsNotItsOwnPeer(t *testing.T) {
	for _, group := range []string{group4, group6} {
		for name, engine := range map[string]udpserver.Engine{"single": udpserver.EngineSingle, "trains": udpserver.EngineTrains} {
			t.Run(group+name, func(t *testing.T) { testOwnGroup(t, group, engine) })
		}
	}
}

func testOwnGroup(t *testing.T, group string, engine udpserver.Engine) {
	m := within(t, group)
	var to addr.Endpoint
	heard := make(chan string, 100)
	s := &udpserver.Server{Engine: engine, Multicast: m, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		heard <- string(d.Data)
		if err := d.Clone().SendTo(to, []byte("alive")); err != nil {
			t.Error(err)
		}
		return d.SendTo(to, []byte("alive"))
	}}
	member := open(t, s, group)
	to = addr.FromAddrPort(addr.UDP, at(group, member))
	other := open(t, &udpserver.Server{Multicast: m}, to.HostPort())
	stop := serveOn(t, s, member)
	write(t, other, to.AddrPort(), "hello")
	if got := next(t, heard); got != "hello" {
		t.Errorf("heard %q", got)
	}
	write(t, other, to.AddrPort(), "alive", "last")
	if a, b := next(t, heard), next(t, heard); a == b || a+b != "alivelast" && a+b != "lastalive" {
		t.Errorf("heard %q and %q", a, b)
	}
	for heard, buf := 0, make([]byte, 100); heard < 9; heard++ { // 3 of its own, 6 answers
		if _, err := other.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	stop() // when what is queued has been read
	if st := ledger(t, s); st.Handled != 3 || st.Dropped.Self != 6 {
		t.Errorf("stats %+v", st)
	}
}

// Where others may have the port too, what comes from it need not be one's own.
func TestSharedPort(t *testing.T) {
	loopback, host := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		local  netip.Addr
		shared bool
		from   netip.Addr
		want   bool
	}{
		{host, false, host, true},
		{netip.IPv4Unspecified(), false, loopback, true},
		{netip.IPv4Unspecified(), true, loopback, false},
		{netip.MustParseAddr("239.1.2.3"), true, host, false},
	} {
		if got := udpserver.IsOwn(netip.AddrPortFrom(tt.local, 5), tt.shared, tt.from); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
