package client_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/internal/mcast"
)

// To a group or a broadcast address one can send. A reply would come from another
// address, so that nobody waits for one.
func TestUDPToMany(t *testing.T) {
	for _, tt := range []struct{ name, to, class string }{
		{"group", "239.255.79.1", "multicast"},
		{"broadcast", "127.255.255.255", "broadcast"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pc := member(t, tt.to)
			_, port, _ := net.SplitHostPort(pc.LocalAddr().String())
			d := &client.Dialer{Local: mustParse(t, "127.0.0.1:0")} // the interface to send from
			u := dialUDP(t, d, net.JoinHostPort(tt.to, port))
			if err := u.Send([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if got, from, ok := (&peer{pc, t}).next(); string(got) != "hello" || !ok || from.String() != u.Local().HostPort() {
				t.Errorf("got %q from %v", got, from)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := u.Call(ctx, []byte("hello"))
			wantMany(t, err, tt.class)
			_, err = u.Receive(ctx)
			wantMany(t, err, tt.class)
			if s := u.Stats(); s.Calls != 1 || s.Failed != 1 || s.Sent != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// member is a socket that hears what is sent to the address over the loopback
// interface.
func member(t *testing.T, to string) *net.UDPConn {
	t.Helper()
	ip := netip.MustParseAddr(to)
	if !ip.IsMulticast() {
		pc, err := net.ListenUDP("udp4", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		return pc
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		pc, err := mcast.Options{Interfaces: []string{i.Name}}.Listen(t.Context(), netip.AddrPortFrom(ip, 0))
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { pc.Close() })
		return pc
	}
	t.Skip("no loopback interface")
	return nil
}

func wantMany(t *testing.T, err error, class string) {
	t.Helper()
	if err == nil || !sockets.NotSent(err) || sockets.IsTimeout(err) || !strings.Contains(err.Error(), "a "+class+" address") ||
		!strings.Contains(err.Error(), "udpserver.Server.ListenPacket") {
		t.Errorf("got %v", err)
	}
}

// What stands for many is known without a look at the host's networks, which say
// nothing of another network.
func TestManyInAnotherNetwork(t *testing.T) {
	d := &client.Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		there.Close()
		return here, nil
	}}
	for address, class := range map[string]string{
		"239.1.2.3:7": "multicast", "[ff05::1]:7": "multicast", "255.255.255.255:7": "broadcast",
		"127.255.255.255:7": "", "10.0.0.255:7": "",
	} {
		u := dialUDP(t, d, address)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := u.Call(ctx, nil)
		if class != "" {
			wantMany(t, err, class)
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Addresses that look like a broadcast address of this host, and are none.
func TestOne(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.255:0")
	if err != nil {
		t.Skip(err) // not every system has all of 127.0.0.0/8
	}
	p := &peer{pc, t}
	p.serve(upper)
	u := dialUDP(t, &client.Dialer{}, p.address())
	if reply, err := u.Call(t.Context(), []byte("hello")); string(reply) != "HELLO" || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %q, %v", reply, err)
	}
}
