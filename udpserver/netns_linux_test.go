package udpserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// alone runs the test in a process of its own, in a network namespace of its own, whose
// loopback device has these addresses, and is false in the process that has run it so.
func alone(t *testing.T, addresses ...string) bool {
	t.Helper()
	const inside = "SOCKETS_TEST_ALONE"
	if os.Getenv(inside) == t.Name() {
		ip(t, "link", "set", "lo", "up")
		for _, a := range addresses {
			addAddress(t, a)
		}
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("NOT CHECKED: addresses that come and go need root, and ip of iproute2")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
		t.Skip("NOT CHECKED: no network namespaces here: ", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// addAddress returns when the address can be reached: IPv6 takes a moment.
func addAddress(t *testing.T, address string) {
	t.Helper()
	ip(t, "addr", "add", address, "dev", "lo", "nodad")
	host, _, _ := strings.Cut(address, "/")
	pc, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	await(func() bool {
		pc.WriteTo(nil, pc.LocalAddr())
		pc.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, _, err := pc.ReadFrom(nil)
		return err == nil
	})
}

var allEngines = []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineBatch, udpserver.EngineTrains}

// A reply to an address that the host has lost meanwhile leaves from another, which is
// better than not at all, and the server goes on.
func TestAddressGone(t *testing.T) {
	if !alone(t, "10.1.2.4/32", "fd01::4/128") {
		return
	}
	for _, e := range allEngines {
		testAddressGone(t, e, "10.1.2.3", "10.1.2.4")
		testAddressGone(t, e, "fd01::3", "fd01::4")
	}
}

func testAddressGone(t *testing.T, e udpserver.Engine, gone, stays string) {
	const n = 3
	addAddress(t, gone)
	began, goOn := make(chan struct{}), make(chan struct{})
	s := &udpserver.Server{Engine: e, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		began <- struct{}{}
		<-goOn
		return d.Reply(d.Data)
	}}
	pc, err := s.ListenPacket(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	to := &net.UDPAddr{IP: net.ParseIP(gone), Port: pc.LocalAddr().(*net.UDPAddr).Port}
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(stays)}) // not connected: it takes a reply from anywhere
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	for range n { // one batch, if there are any
		if _, err := c.WriteTo([]byte("x"), to); err != nil {
			t.Fatal(err)
		}
	}
	stop := serveOn(t, s, pc)
	for range n {
		<-began
	}
	ip(t, "addr", "del", gone, "dev", "lo")
	close(goOn)
	for range n {
		_, from, err := c.ReadFromUDP(make([]byte, 10))
		if err != nil {
			t.Fatalf("engine %d, %s: no reply: %v", e, gone, err)
		}
		if from.IP.Equal(to.IP) || from.Port != to.Port {
			t.Errorf("engine %d, %s: a reply from %v", e, gone, from)
		}
	}
	other := dial(t, &net.UDPAddr{IP: net.ParseIP(stays), Port: to.Port})
	send(t, other, "still there")
	<-began
	if got := receive(t, other); got != "still there" {
		t.Errorf("engine %d, %s: then got %q", e, gone, got)
	}
	if err := stop(); err != nil {
		t.Errorf("engine %d, %s: Serve: %v", e, gone, err)
	}
	if st := ledger(t, s); st.Sent != n+1 || st.Unsent.Total() > 0 {
		t.Errorf("engine %d, %s: %+v", e, gone, st)
	}
}

// What the server sends to another address of its own host comes from the first of
// the interface, not from the one it was sent to. It is its own all the same.
func TestSelfByAnotherAddress(t *testing.T) {
	if !alone(t, "10.1.2.3/24", "10.1.2.4/24") {
		return
	}
	second := addr.MustParse(addr.UDP, "10.1.2.4:7007")
	for _, sockets := range []int{1, 2} {
		s := &udpserver.Server{Sockets: sockets, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			if string(d.Data) == "go" {
				return errors.Join(d.SendTo(second, []byte("round and round")), d.Reply(d.Data))
			}
			return d.Reply(d.Data)
		}}
		pc, err := s.ListenPacket(t.Context(), ":7007")
		if err != nil {
			t.Fatal(err)
		}
		stop := serveOn(t, s, pc)
		c := dial(t, &net.UDPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 7007})
		const rounds = 3
		for range rounds {
			send(t, c, "go")
			receive(t, c)
		}
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if st := ledger(t, s); st.Dropped.Self != rounds || st.Handled != rounds {
			t.Errorf("%d sockets: %+v", sockets, st)
		}
	}
}

// Sessions, too, know themselves.
func TestSessionsSelfByAnotherAddress(t *testing.T) {
	if !alone(t, "10.1.2.3/24", "10.1.2.4/24") {
		return
	}
	pc, err := net.ListenPacket("udp", ":7007")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pc.WriteTo([]byte("me"), &net.UDPAddr{IP: net.IPv4(10, 1, 2, 4), Port: 7007}); err != nil {
		t.Fatal(err)
	}
	ln, err := udpserver.Sessions(pc, udpserver.SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l := ln.(*udpserver.SessionListener)
	await(func() bool { return l.Stats().Received == 1 })
	if st := l.Stats(); st.Dropped.Self != 1 || st.Opened != 0 {
		t.Errorf("%+v", st)
	}
}
