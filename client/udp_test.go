package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
)

// peer is a UDP server on a real socket that answers as it is told.
type peer struct {
	net.PacketConn
	t *testing.T
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return &peer{pc, t}
}

// address is where p can be dialled.
func (p *peer) address() string { return p.LocalAddr().String() }

// next is the next datagram and its sender; ok is false once p is closed.
func (p *peer) next() (data []byte, from net.Addr, ok bool) {
	buf := make([]byte, 65_536)
	n, from, err := p.ReadFrom(buf)
	return buf[:n], from, err == nil
}

// serve answers every datagram with what f makes of it; nil is no answer.
func (p *peer) serve(f func(request []byte) []byte) {
	done := make(chan struct{})
	p.t.Cleanup(func() { p.Close(); <-done })
	go func() {
		defer close(done)
		for {
			data, from, ok := p.next()
			if !ok {
				return
			}
			if reply := f(data); reply != nil {
				p.WriteTo(reply, from)
			}
		}
	}()
}

func upper(p []byte) []byte { return append([]byte{}, strings.ToUpper(string(p))...) }

// dialUDP makes a client that is closed, and found without anything left, when
// the test ends.
func dialUDP(t *testing.T, d *client.Dialer, address string) *client.UDP {
	t.Helper()
	u, err := d.DialUDP(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if s := u.Stats(); s.InFlight != 0 || s.Received != s.Answers+s.Kept+s.Late+s.Unmatched+s.Overflowed {
			t.Errorf("the counters do not add up: %+v", s)
		}
	})
	return u
}

func TestUDPCall(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	u := dialUDP(t, &client.Dialer{}, p.address())
	for _, request := range []string{"hello", "", "once more", strings.Repeat("x", 65_507)} {
		reply, err := u.Call(t.Context(), []byte(request))
		if err != nil {
			t.Fatalf("%.20q: %v", request, err)
		}
		if string(reply) != strings.ToUpper(request) || reply == nil {
			t.Errorf("%.20q: got %.20q", request, reply)
		}
	}
	if got, want := u.Remote().HostPort(), p.address(); got != want {
		t.Errorf("Remote = %v, want %v", got, want)
	}
	if !u.Local().IsValid() {
		t.Error("Local is invalid")
	}
	if rtt := u.RTT(); rtt.SampleRTT() <= 0 || rtt.Timeout() < 100*ms { // more on a busy machine
		t.Errorf("RTT: sample %v, timeout %v", rtt.SampleRTT(), rtt.Timeout())
	}
	want := client.UDPStats{Calls: 4, Sent: 4, Received: 4, Answers: 4}
	if got := u.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// A reply belongs to the caller: the next one does not change it.
func TestUDPReplyIsTheCallers(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	u := dialUDP(t, &client.Dialer{}, p.address())
	first, err := u.Call(t.Context(), []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Call(t.Context(), []byte("other")); err != nil {
		t.Fatal(err)
	}
	if string(first) != "FIRST" {
		t.Errorf("the first reply has become %q", first)
	}
}

func TestUDPReplyTooLong(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	u := dialUDP(t, &client.Dialer{MaxReply: 4}, p.address())
	if reply, err := u.Call(t.Context(), []byte("four")); err != nil || string(reply) != "FOUR" {
		t.Errorf("got %q, %v", reply, err)
	}
	_, err := u.Call(t.Context(), []byte("fives"))
	if !errors.Is(err, sockets.ErrTruncated) || sockets.NotSent(err) {
		t.Errorf("got %v", err)
	}
	if s := u.Stats(); s.Truncated != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestUDPRequestTooLong(t *testing.T) {
	p := newPeer(t)
	u := dialUDP(t, &client.Dialer{}, p.address())
	_, err := u.Call(t.Context(), make([]byte, 65_508))
	if !errors.Is(err, sockets.ErrTooLong) || !sockets.NotSent(err) {
		t.Errorf("got %v", err)
	}
	if err := u.Send(make([]byte, 65_508)); !errors.Is(err, sockets.ErrTooLong) {
		t.Errorf("Send: %v", err)
	}
}

// Another socket, which knows the client's port, sends what looks like a reply.
func TestUDPJunkFromElsewhere(t *testing.T) {
	p, stranger := newPeer(t), newPeer(t)
	u := dialUDP(t, &client.Dialer{}, p.address())
	p.serve(func(request []byte) []byte {
		to, _ := net.ResolveUDPAddr("udp", u.Local().HostPort())
		stranger.WriteTo([]byte("forged"), to)
		return upper(request)
	})
	for range 20 {
		if reply, err := u.Call(t.Context(), []byte("hello")); err != nil || string(reply) != "HELLO" {
			t.Fatalf("got %q, %v", reply, err)
		}
	}
	if s := u.Stats(); s.Received != 20 {
		t.Errorf("stats %+v", s)
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	p := newPeer(t)
	defer p.Close()
	return p.address()
}

func TestUDPPortUnreachable(t *testing.T) {
	u := dialUDP(t, &client.Dialer{FailFast: true}, closedPort(t))
	for range 3 { // the socket is changed, the state is not
		start := time.Now()
		_, err := u.Call(t.Context(), []byte("hello"))
		if !errors.Is(err, client.ErrPortUnreachable) || !errors.Is(err, syscall.ECONNREFUSED) || sockets.NotSent(err) {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d > 500*ms {
			t.Errorf("took %v", d)
		}
	}
}

// Without FailFast a server that is started late answers, and what the system
// reported instead of sending was sent again: it gets every attempt but the
// first, which came back.
func TestUDPPortUnreachableIsSurvived(t *testing.T) {
	address := closedPort(t)
	u := dialUDP(t, &client.Dialer{Retry: client.Retry{First: 100 * ms}}, address)
	got := make(chan int, 1)
	time.AfterFunc(50*ms, func() {
		pc, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Error(err)
			close(got)
			return
		}
		late := &peer{pc, t}
		data, from, _ := late.next()
		late.WriteTo(upper(data), from)
		pc.SetReadDeadline(time.Now().Add(100 * ms))
		n := 1
		for ; ; n++ {
			if _, _, ok := late.next(); !ok {
				break
			}
		}
		pc.Close()
		got <- n
	})
	reply, err := u.Call(t.Context(), []byte("hello"))
	if err != nil || string(reply) != "HELLO" {
		t.Errorf("got %q, %v", reply, err)
	}
	if n := <-got; n != 1 {
		t.Errorf("the server got %d datagrams, want 1", n)
	}
	if s := u.Stats(); s.Bounced != 1 || s.Sent != 2 || s.Repeated != 1 {
		t.Errorf("stats %+v", s)
	}
}

// What bounced says at the end, beside the timeout, why there was no reply.
func TestUDPTimeoutTellsOfBounces(t *testing.T) {
	u := dialUDP(t, &client.Dialer{Timeout: 100 * ms, Retry: client.Retry{First: 30 * ms}}, closedPort(t))
	_, err := u.Call(t.Context(), []byte("hello"))
	for _, target := range []error{client.ErrPortUnreachable, context.DeadlineExceeded, os.ErrDeadlineExceeded} {
		if !errors.Is(err, target) {
			t.Errorf("%v does not match %v", err, target)
		}
	}
}

// A peer that is gone costs no processor time.
func TestUDPNoCPUWhenThePeerIsGone(t *testing.T) {
	u := dialUDP(t, &client.Dialer{Timeout: 300 * ms, Retry: client.Retry{First: 50 * ms}}, closedPort(t))
	before := cpuTime(t)
	u.Call(t.Context(), []byte("hello"))
	if used := cpuTime(t) - before; used > 100*ms {
		t.Errorf("used %v of processor time in 300 ms", used)
	}
}

func TestUDPLocal(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	free := newPeer(t)
	local := mustParse(t, free.address())
	free.Close()
	u := dialUDP(t, &client.Dialer{Local: local, MaxReply: 1}, p.address())
	for range 2 { // a port that was asked for is the next socket's, too
		if u.Local() != local {
			t.Errorf("Local = %v, want %v", u.Local(), local)
		}
		if _, err := u.Call(t.Context(), []byte("hello")); !errors.Is(err, sockets.ErrTruncated) {
			t.Errorf("got %v", err)
		}
	}
}

// udpConn is what *net.UDPConn has beyond net.PacketConn, for tests that count
// allocations.
type udpConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// Many callers on one real socket, some of whom give up.
func TestUDPMatchReal(t *testing.T) {
	p := newPeer(t)
	p.serve(upper)
	u := dialUDP(t, &client.Dialer{Match: func(request, reply []byte) bool {
		return strings.EqualFold(string(request), string(reply))
	}}, p.address())
	var callers sync.WaitGroup
	for i := range 16 {
		callers.Go(func() {
			for j := range 100 {
				ctx, cancel := context.WithCancel(t.Context())
				if j%10 == 0 {
					go cancel()
				}
				request := fmt.Sprint("call ", i, " ", j)
				reply, err := u.Call(ctx, []byte(request))
				if err == nil && string(reply) != strings.ToUpper(request) || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %q, %v", request, reply, err)
				}
				cancel()
			}
		})
	}
	callers.Wait()
}
