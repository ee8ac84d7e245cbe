package client_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// faulty is a socket whose next reads, and all of whose writes, may fail.
type faulty struct {
	net.Conn
	reads []error // taken from the front
	write error
}

func (f *faulty) Read(b []byte) (int, error) {
	if len(f.reads) > 0 {
		err := f.reads[0]
		f.reads = f.reads[1:]
		return 0, &net.OpError{Op: "read", Net: "udp", Err: err}
	}
	return f.Conn.Read(b)
}

func (f *faulty) Write(b []byte) (int, error) {
	if f.write != nil {
		return 0, &net.OpError{Op: "write", Net: "udp", Err: f.write}
	}
	return f.Conn.Write(b)
}

// dialFaulty is a dialer whose sockets are made so; dials counts them.
func dialFaulty(w *world, f faulty, dials *int) *client.Dialer {
	return &client.Dialer{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		*dials++
		nc, err := w.client.DialContext(ctx, network, address)
		return &faulty{nc, f.reads, f.write}, err
	}}
}

// What a socket reports of ICMP messages is about the way, not the socket: however
// often it comes the socket stays, and so does the call.
func TestUDPReadErrorsPass(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EMSGSIZE, syscall.ECONNREFUSED} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			address := w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
			dials := 0
			d := dialFaulty(w, faulty{reads: []error{errno, errno, errno, errno, errno}}, &dials)
			u := dialUDP(t, d, address)
			reply, err := u.Call(t.Context(), []byte("hello"))
			if err != nil || string(reply) != "hello" || dials != 1 || u.Stats().Sent != 1 {
				t.Errorf("%v: got %q, %v; %d sockets, %+v", errno, reply, err, dials, u.Stats())
			}
		})
	}
}

// A datagram can't answer a call of which nothing was sent.
func TestUDPNothingSentIsNotAnswered(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		pc := must(w.server.ListenPacket(t.Context(), "udp", ":7"))(t)
		defer pc.Close()
		dials := 0
		d := dialFaulty(w, faulty{write: syscall.ENOBUFS}, &dials)
		d.Timeout = time.Second
		u := dialUDP(t, d, "10.0.0.2:7")
		time.AfterFunc(time.Second/2, func() { pc.WriteTo([]byte("stray"), net.UDPAddrFromAddrPort(u.Local().AddrPort())) })
		reply, err := u.Call(t.Context(), []byte("hello"))
		if !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != time.Second {
			t.Errorf("at %v: %q, %v", w.now(), reply, err)
		}
		if s := u.Stats(); s.Unmatched != 1 || s.Sent != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// Late is what answers a call that has ended, be another in flight or Receive in use.
func TestUDPLateIsToldFromStrange(t *testing.T) {
	match := func(request, reply []byte) bool { return string(request) == string(reply) }
	for _, tt := range []struct {
		name   string
		dialer client.Dialer
		during bool // it comes while another call waits
		pair   bool // Receive is in use
		want   client.UDPStats
	}{
		{"ID", client.Dialer{ID: idOf}, false, false, client.UDPStats{Late: 1}},
		{"ID, another call", client.Dialer{ID: idOf}, true, false, client.UDPStats{Late: 1}},
		{"ID, Receive", client.Dialer{ID: idOf}, false, true, client.UDPStats{Late: 1}},
		{"Match", client.Dialer{Match: match}, false, false, client.UDPStats{Late: 1}},
		{"Match, another call", client.Dialer{Match: match}, true, false, client.UDPStats{Unmatched: 1}}, // nothing tells
		{"in turns", client.Dialer{}, false, false, client.UDPStats{Late: 1}},
		{"in turns, Receive", client.Dialer{}, false, true, client.UDPStats{Late: 1}},
	} {
		inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
			address := w.udp(func(n int, request []byte, answer func(string)) {
				if reply := string(request); n == 1 {
					time.AfterFunc(time.Second, func() { answer(reply) })
				}
			})
			tt.dialer.Timeout = time.Second / 2
			u := dialUDP(t, w.dialer(tt.dialer), address)
			if tt.pair {
				u.Receive(endWith(t, ms, errOwn))
			}
			if _, err := u.Call(t.Context(), withID(1, "slow")); !sockets.IsTimeout(err) {
				t.Errorf("%s: %v", tt.name, err)
			}
			if tt.during {
				long, cancel := context.WithTimeout(t.Context(), time.Second)
				u.Call(long, withID(2, "other"))
				cancel()
			}
			time.Sleep(time.Second)
			s := u.Stats()
			if got := (client.UDPStats{Late: s.Late, Unmatched: s.Unmatched, Kept: s.Kept}); got != tt.want {
				t.Errorf("%s: %+v", tt.name, s)
			}
		})
	}
}

// Match may still look at a request when its caller has left, overwritten the
// request, and another call has begun.
func TestUDPMatchOutlivesItsCall(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		address := w.udp(func(n int, request []byte, answer func(string)) {
			if n == 1 {
				answer("reply")
			}
		})
		asked, look := make(chan struct{}), make(chan struct{})
		var seen []string
		u := dialUDP(t, w.dialer(client.Dialer{Match: func(request, _ []byte) bool {
			if len(seen) == 0 {
				close(asked)
				<-look
			}
			seen = append(seen, string(request))
			return false
		}}), address)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		request := []byte("first")
		if _, err := u.Call(ctx, request); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		copy(request, "XXXXX")
		go u.Call(t.Context(), []byte("other"))
		synctest.Wait()
		close(look)
		synctest.Wait()
		if len(seen) != 1 || seen[0] != "first" {
			t.Errorf("Match saw %q", seen)
		}
		u.Close()
		synctest.Wait()
	})
}

// Once one address has answered, the sockets to the others are closed.
func TestUDPLosersAreClosed(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		w.udp(func(_ int, request []byte, answer func(string)) { answer(string(request)) })
		open := &counter{}
		d := w.dialer(client.Dialer{Resolve: resolver("10.9.9.9", "10.8.8.8", "10.0.0.2", "10.7.7.7")})
		d.DialContext = open.dial(d.DialContext)
		u := dialUDP(t, d, "name:7")
		if _, err := u.Call(t.Context(), []byte("hello")); err != nil || open.most.Load() != 3 || open.n.Load() != 1 {
			t.Errorf("%v: %d sockets at most, %d now", err, open.most.Load(), open.n.Load())
		}
	})
}
