package udpserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
	"example.com/sockets/udpserver"
)

func capitals(_ context.Context, q []byte) ([]byte, error) { return bytes.ToUpper(q), nil }

// serving serves ln by s until the returned function is called.
func serving(s *tcpserver.Server, ln net.Listener) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	return func() error { cancel(); return <-done }
}

// A server of connections serves senders, with Packets as the framing that it need
// not be told, and a stop ends idle sessions at once.
func TestServeSessions(t *testing.T) {
	for _, framing := range []sockets.Framing{nil, sockets.Packets()} {
		ln := realSessions(t, "127.0.0.1:0", udpserver.SessionConfig{})
		s := &tcpserver.Server{Handler: tcpserver.Respond(capitals), Framing: framing}
		stop := serving(s, ln)
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				c := dial(t, ln.Addr())
				for _, m := range []string{"hello", "", "two\nlines\n", string(bytes.Repeat([]byte("x"), 10000+i))} {
					send(t, c, m)
					if got := receive(t, c); got != string(bytes.ToUpper([]byte(m))) {
						t.Errorf("%q was answered with %q", m, got)
					}
				}
			})
		}
		wg.Wait()
		begin := time.Now()
		if err := stop(); err != nil || time.Since(begin) > 2*time.Second {
			t.Errorf("Serve: %v after %v", err, time.Since(begin))
		}
		if st := s.Stats(); st.Running != 0 {
			t.Errorf("%d are running", st.Running)
		}
		if st := sessionLedger(t, ln); st.Sessions != 0 || st.Opened != 5 || st.Read != 20 {
			t.Errorf("%+v", st)
		}
		if pc, err := net.ListenPacket("udp", ln.Addr().String()); err != nil {
			t.Errorf("the socket is open: %v", err)
		} else {
			pc.Close()
		}
	}
}

// What had come when a stop begins is answered: in a handler, in the queue of a
// session, and in a session that nobody has accepted.
func TestServeSessionsDrain(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		s := &tcpserver.Server{Handler: tcpserver.Respond(func(ctx context.Context, q []byte) ([]byte, error) {
			time.Sleep(time.Second)
			return capitals(ctx, q)
		}), Limits: tcpserver.Limits{Conns: 2, Overload: tcpserver.Block}}
		stop := serving(s, ln)
		a, idle, late := peer(), peer(), peer()
		send(t, idle, "i")
		if got := receive(t, idle); got != "I" {
			t.Errorf("got %q", got)
		}
		send(t, a, "a", "b")
		synctest.Wait()
		send(t, late, "l") // both slots are taken
		begin := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("the stop took %v", d)
		}
		for _, want := range []string{"A", "B"} {
			if got := receive(t, a); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := receive(t, late); got != "L" {
			t.Errorf("got %q", got)
		}
		sessionLedger(t, ln)
	})
}

// An empty message ends a wait as any other does: a peer that sends nothing else is
// not idle.
func TestServeSessionsEmptyIsNotIdle(t *testing.T) {
	inVirtualTime(t, udpserver.SessionConfig{}, func(t *testing.T, ln *udpserver.SessionListener, peer func() net.Conn) {
		ended := make(chan error, 1)
		s := &tcpserver.Server{Timeouts: tcpserver.Timeouts{Idle: time.Minute}, Handler: func(_ context.Context, c *sockets.Conn) error {
			for {
				if _, err := c.ReadMessage(); err != nil {
					ended <- err
					return err
				}
			}
		}}
		stop := serving(s, ln)
		c := peer()
		for range 5 {
			send(t, c, "")
			time.Sleep(59 * time.Second)
		}
		begin := time.Now()
		if err := <-ended; !errors.Is(err, sockets.ErrIdle) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// Datagrams arrive while sessions, and then the listener, are closed. Nothing is
// lost from the books, nothing hangs, and no Close hits another session.
func TestSessionCloseRacesArrival(t *testing.T) {
	for range 500 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := udpserver.Sessions(pc, udpserver.SessionConfig{Sessions: 2, Idle: 300 * time.Microsecond})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { sendBurst(pc.LocalAddr()) })
		wg.Go(func() {
			sendBurst(pc.LocalAddr())
			ln.Close() // while the other goes on
		})
		for {
			c, err := ln.Accept()
			if err != nil {
				break
			}
			wg.Go(func() { c.Write([]byte("reply")); c.Close() })
			wg.Go(func() {
				for buf := make([]byte, 9); ; {
					if _, err := c.Read(buf); err != nil {
						c.Close()
						return
					}
				}
			})
		}
		wg.Wait()
		ln.Close()
		if st := sessionLedger(t, ln.(*udpserver.SessionListener)); st.Sessions != 0 {
			t.Fatalf("%+v", st)
		}
	}
}

// sendBurst sends to what may be gone.
func sendBurst(to net.Addr) {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return
	}
	defer c.Close()
	for i := range 20 {
		fmt.Fprint(c, i)
	}
}
