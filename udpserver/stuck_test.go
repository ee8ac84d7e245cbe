package udpserver_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// writeWait is how long a send waits for room at most (internal/udpio).
const writeWait = time.Second

// stuck is a socket that has no room for what goes to one of its peers, as a Unix
// socket whose peer does not read: a write waits until the write deadline, which it
// heeds as the net package does, or until Close.
type stuck struct {
	net.PacketConn
	deaf bool // heeds Close alone

	mu    sync.Mutex
	peer  string // the one
	at    time.Time
	moved chan struct{} // closed when at changes
	over  chan struct{} // closed by Close
}

func newStuck(pc net.PacketConn) *stuck {
	return &stuck{PacketConn: pc, moved: make(chan struct{}), over: make(chan struct{})}
}

func (s *stuck) WriteTo(p []byte, to net.Addr) (int, error) {
	for s.peer == to.String() {
		s.mu.Lock()
		at, moved := s.at, s.moved
		s.mu.Unlock()
		var expired <-chan time.Time
		if !at.IsZero() && !s.deaf {
			if !time.Now().Before(at) {
				return 0, os.ErrDeadlineExceeded
			}
			expired = time.After(time.Until(at))
		}
		select {
		case <-moved:
		case <-expired:
		case <-s.over:
			return 0, net.ErrClosed
		}
	}
	return s.PacketConn.WriteTo(p, to)
}

func (s *stuck) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = t
	close(s.moved)
	s.moved = make(chan struct{})
	return nil
}

func (s *stuck) Close() error {
	close(s.over)
	return s.PacketConn.Close()
}

// A send that is stuck ends after a moment, and counts as what it is, whatever the
// others send meanwhile; and they get their replies.
func TestStuckSend(t *testing.T) {
	for _, pause := range []time.Duration{10 * time.Second, 3 * time.Second, 700 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(pause.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sock, c, other := stuckTown(t)
				took := make(chan time.Duration, 1)
				told := make(chan addr.Endpoint, 1)
				s := &udpserver.Server{
					Trace: &udpserver.Trace{ReplyFailed: func(to addr.Endpoint, _ error) { told <- to }},
					Handler: func(_ context.Context, d *udpserver.Datagram) error {
						begin := time.Now()
						err := d.Reply(d.Data)
						if string(d.Data) == "stuck" {
							took <- time.Since(begin)
						}
						return err
					}}
				stop := serveOn(t, s, sock)
				send(t, other, "first")
				receive(t, other)
				send(t, c, "stuck")
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(pause) {
					begin := time.Now()
					send(t, other, "hello")
					if got := receive(t, other); got != "hello" || time.Since(begin) > 10*time.Millisecond {
						t.Errorf("another sender got %q after %v", got, time.Since(begin))
					}
				}
				if err := stop(); err != nil {
					t.Errorf("Serve: %v", err)
				}
				if d := <-took; d > writeWait {
					t.Errorf("the handler was held up for %v", d)
				}
				if to := <-told; to.String() != sock.peer+"/udp" {
					t.Errorf("traced a failure towards %v", to)
				}
				if st := ledger(t, s); st.Unsent != (udpserver.SendErrors{Resource: 1}) || st.Failed > 0 || st.Sent != st.Handled-1 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// A socket that heeds no deadline holds its handler until the stop closes it, and no
// longer: it is cut off, abandoned, and has ended a moment later.
func TestStuckSendEndsWithTheSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock, c, other := stuckTown(t)
		sock.deaf = true
		s := &udpserver.Server{Handler: echo}
		stop := serveOn(t, s, sock)
		send(t, c, "stuck")
		synctest.Wait()
		send(t, other, "hello")
		if got := receive(t, other); got != "hello" {
			t.Errorf("another sender got %q", got)
		}
		begin := time.Now()
		var de *sockets.DrainError
		if err := stop(); !errors.As(err, &de) || len(de.Abandoned) != 1 || time.Since(begin) != 6*time.Second {
			t.Errorf("Serve: %v after %v", err, time.Since(begin))
		}
		synctest.Wait()
		if st := ledger(t, s); st.Unsent != (udpserver.SendErrors{Other: 1}) {
			t.Errorf("stats %+v", st)
		}
	})
}

// Nor does a session's Write wait longer, and neither the other sessions nor its own
// Close wait for it. It is not a timeout of the user's.
func TestStuckSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock, c, other := stuckTown(t)
		ln := sessions(t, sock, udpserver.SessionConfig{})
		send(t, c, "stuck")
		held := accept(t, ln)
		send(t, other, "hello")
		free := accept(t, ln)
		for _, closes := range []bool{false, true} {
			begin := time.Now()
			done := make(chan error)
			go func() {
				_, err := held.Write([]byte("x"))
				done <- err
			}()
			synctest.Wait()
			if _, err := free.Write([]byte("y")); err != nil || receive(t, other) != "y" {
				t.Errorf("another session: %v", err)
			}
			if closes {
				held.Close()
			}
			if d := time.Since(begin); d > 10*time.Millisecond {
				t.Errorf("the others waited for %v", d)
			}
			if err := <-done; err == nil || sockets.IsTimeout(err) || time.Since(begin) > writeWait {
				t.Errorf("Write: %v after %v", err, time.Since(begin))
			}
			time.Sleep(writeWait) // the next has a deadline of its own
		}
		if st := ln.Stats(); st.Unsent != (udpserver.SendErrors{Resource: 2}) || st.Sent != 2 {
			t.Errorf("%+v", st)
		}
	})
}

// A peer on a Unix socket that does not read its replies holds its handlers not for long.
func TestUnixPeerThatDoesNotRead(t *testing.T) {
	dir, err := os.MkdirTemp("", "udp") // t.TempDir may be too long a name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := func(s string) *net.UnixAddr { return &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, s)} }
	pc, err := net.ListenUnixgram("unixgram", name("server"))
	if err != nil {
		t.Skip(err)
	}
	deaf, err := net.ListenUnixgram("unixgram", name("deaf"))
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	s := &udpserver.Server{Handler: echo}
	stop := serveOn(t, s, pc)
	const n = 1000 // beyond its queue, or the server's own buffer
	for range n {
		if _, err := deaf.WriteTo([]byte("x"), name("server")); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	await(func() bool { return s.Stats().Handled == n || time.Since(begin) > 10*writeWait })
	if d := time.Since(begin); d > 3*writeWait { // the machine has other things to do
		t.Errorf("handlers were held up for %v", d)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Unsent.Resource == 0 || st.Unsent.Resource+st.Sent != n || st.Failed > 0 {
		t.Errorf("stats %+v", st)
	}
}

// stuckTown is a server's socket, the client to which it has no room, and another.
func stuckTown(t *testing.T) (sock *stuck, c, other net.Conn) {
	t.Helper()
	n := simnet.New(simnet.Options{})
	pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	var clients [2]net.Conn
	for i := range clients {
		if clients[i], err = n.DialContext(t.Context(), "udp", "127.0.0.1:9000"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { clients[i].Close() })
	}
	sock = newStuck(pc)
	sock.peer = clients[0].LocalAddr().String()
	return sock, clients[0], clients[1]
}

// While the socket's write lock is held, as by a write that waits for room, thousands
// of datagrams come that want replies: no more writers wait for it than handlers may
// run (the net package panics at 2^20 of them), and when it is free all reply.
func TestManyRepliesBehindAWrite(t *testing.T) {
	for name, e := range engineNames {
		t.Run(name, func(t *testing.T) {
			const n, most = 5000, 256
			s := &udpserver.Server{Engine: e, MaxHandlers: most, Queue: udpserver.Queue{Datagrams: n}, Handler: echo}
			pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			raw, err := pc.(*net.UDPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			held, release, done := make(chan struct{}), make(chan struct{}), make(chan error)
			go func() {
				done <- raw.Write(func(uintptr) bool { close(held); <-release; return true })
			}()
			<-held
			stop := serveOn(t, s, pc)
			c := dial(t, pc.LocalAddr())
			for sent := uint64(0); sent < n; sent++ {
				send(t, c, "x")
				if sent%64 == 0 { // or the system would drop some
					await(func() bool { return s.Stats().Received > sent })
				}
			}
			if running := s.Stats().Running; running > most {
				t.Errorf("%d handlers at once", running)
			}
			close(release)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if st := ledger(t, s); st.Sent+st.Unsent.Total() != st.Handled || st.Handled+st.Dropped.Queue != n || st.Failed > 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// A handler that is stuck in a Reply when the grace period ends is not abandoned for
// that: its Reply fails, and so does the next that is stuck, in time.
func TestStuckSendWhenCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock, c, _ := stuckTown(t)
		s := &udpserver.Server{
			Timeouts: udpserver.Timeouts{Grace: 10 * time.Millisecond},
			Handler: func(_ context.Context, d *udpserver.Datagram) error {
				for range 5 {
					if err := d.Reply(d.Data); err != nil {
						return err
					}
				}
				return nil
			}}
		stop := serveOn(t, s, sock)
		send(t, c, "stuck")
		synctest.Wait()
		begin := time.Now()
		var drained *sockets.DrainError
		if err := stop(); !errors.As(err, &drained) || len(drained.CutOff) != 1 || len(drained.Abandoned) != 0 {
			t.Errorf("Serve: %v", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("stopped after %v", took)
		}
		if st := ledger(t, s); st.Unsent.Resource != 5 {
			t.Errorf("%+v", st.Unsent)
		}
	})
}
