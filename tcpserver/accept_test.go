package tcpserver_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/simnet"
	"example.com/sockets/tcpserver"
)

// scripted is a listener that fails as it is told, and then blocks.
type scripted struct {
	net.Listener
	errs   []error
	calls  int
	closed chan struct{}
	deaf   bool // Accept ignores Close
}

func (s *scripted) Accept() (net.Conn, error) {
	s.calls++
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		if err == nil {
			server, client := net.Pipe()
			client.Close()
			return server, nil
		}
		return nil, err
	}
	<-s.closed
	return nil, net.ErrClosed
}

func (s *scripted) Close() error {
	if !s.deaf {
		close(s.closed)
	}
	return nil
}

func (*scripted) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func script(errs ...error) *scripted {
	return &scripted{errs: errs, closed: make(chan struct{})}
}

func repeat(err error, n int) (all []error) {
	for range n {
		all = append(all, err)
	}
	return all
}

func accept(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: errno}
}

// TestAcceptErrors: what the process may get over is tried again, on a timer that a
// stop interrupts, with one line in the log; what concerns one connection at once;
// what ends the listener ends Serve, and is returned.
func TestAcceptErrors(t *testing.T) {
	unknown := errors.New("something foreign")
	tests := []struct {
		name  string
		errs  []error
		for_  time.Duration // how long the failures may last; -1: Serve ends
		lines int           // in the log about them
		want  error         // from Serve
	}{
		{"out of descriptors", append(repeat(accept(syscall.EMFILE), 20), nil), 14 * time.Second, 2, nil},
		{"out of buffers", append(repeat(accept(syscall.ENOBUFS), 3), nil), 40 * time.Millisecond, 2, nil},
		{"aborted", append(repeat(accept(syscall.ECONNABORTED), 50), nil), time.Nanosecond, 0, nil},
		{"aborted for ever", append(repeat(accept(syscall.ECONNABORTED), 1000), nil), time.Second, 2, nil},
		{"two episodes", []error{accept(syscall.ENFILE), nil, accept(syscall.ENOMEM), nil}, 20 * time.Millisecond, 4, nil},
		{"foreign, passing", append(repeat(unknown, 5), nil), time.Second, 2, nil},
		{"foreign, for good", repeat(unknown, 100), -1, 1, unknown},
		{"bad descriptor", []error{accept(syscall.EBADF)}, -1, 0, syscall.EBADF},
		{"closed by somebody", []error{net.ErrClosed}, -1, 0, net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				var log logged
				ln := script(tt.errs...)
				r := serve(t, &tcpserver.Server{Handler: upper, Logger: log.logger()}, ln)
				begin := time.Now()
				if tt.for_ < 0 {
					err := <-r.done
					r.done <- err
					if since(begin) > 15*time.Second {
						t.Errorf("Serve gave up after %v", since(begin))
					}
				} else {
					time.Sleep(tt.for_)
					synctest.Wait()
					if len(ln.errs) > 0 {
						t.Errorf("after %v it has %d failures to go", tt.for_, len(ln.errs))
					}
				}
				if err := r.wait(); !errors.Is(err, tt.want) {
					t.Errorf("Serve returned %v, want %v", err, tt.want)
				} else if err != nil && !strings.Contains(err.Error(), "accept 127.0.0.1:80/tcp: ") {
					t.Errorf("the error does not say what and where: %v", err)
				}
				if n := strings.Count(log.String(), `msg="accept `); n != tt.lines {
					t.Errorf("%d lines in the log, want %d:\n%s", n, tt.lines, log.String())
				}
			})
		})
	}
}

// TestAcceptErrorKeepsConnections: a listener that somebody else closes ends Serve as
// a stop does: what is under way is finished, and if the grace period is too short for
// it both are told.
func TestAcceptErrorKeepsConnections(t *testing.T) {
	for _, work := range []time.Duration{time.Second, time.Minute} {
		inBubble(t, func(t *testing.T) {
			n := simnet.New(simnet.Options{Trace: -1})
			ln, err := n.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			r := serve(t, &tcpserver.Server{Handler: tcpserver.Respond(func(ctx context.Context, q []byte) ([]byte, error) {
				select {
				case <-time.After(work):
				case <-ctx.Done():
				}
				return q, nil
			})}, ln)
			r.dial = n.DialContext
			c, idle := r.client(), r.client()
			defer c.Close()
			defer idle.Close()
			c.Write([]byte("x\n"))
			synctest.Wait()
			begin := time.Now()
			ln.Close()
			if err := ended(idle); err != io.EOF || since(begin) > 200*time.Millisecond {
				t.Errorf("an idle client read %v after %v", err, since(begin))
			}
			got, _ := io.ReadAll(c)
			err = <-r.done
			var drained *sockets.DrainError
			tooLong := work > 5*time.Second // Grace
			if !errors.Is(err, net.ErrClosed) || errors.As(err, &drained) != tooLong || since(begin) != min(work, 5*time.Second) {
				t.Errorf("Serve returned %v after %v", err, since(begin))
			}
			if want := map[bool]string{false: "x\n", true: ""}[tooLong]; string(got) != want {
				t.Errorf("the busy client read %q", got)
			}
		})
	}
}

// TestOldDeadline: a deadline that somebody had set on the listener is not the server's.
func TestOldDeadline(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.(*net.TCPListener).SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	r := serve(t, &tcpserver.Server{Handler: upper}, ln)
	c := r.client()
	defer c.Close()
	if got := ask(t, c, "x"); got != "X" {
		t.Errorf("got %q", got)
	}
	if err := r.wait(); err != nil || r.Stats().AcceptErrors != 0 {
		t.Errorf("%v, %+v", err, r.Stats())
	}
}

// TestBackoffIsInterrupted: a stop during the delay does not wait for its end.
func TestBackoffIsInterrupted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serve(t, &tcpserver.Server{Handler: upper}, script(repeat(accept(syscall.EMFILE), 1000)...))
		time.Sleep(time.Minute + 500*time.Millisecond)
		begin := time.Now()
		if err := r.wait(); err != nil || since(begin) != 0 {
			t.Errorf("Serve returned %v after %v", err, since(begin))
		}
		if n := r.Stats().AcceptErrors; n > 80 {
			t.Errorf("%d tries in a minute", n)
		}
	})
}

// TestDeafListener: a listener whose Accept ignores Close holds Serve no longer than
// the grace period and a second.
func TestDeafListener(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ln := script()
		ln.deaf = true
		s := &tcpserver.Server{Handler: upper, Timeouts: tcpserver.Timeouts{Grace: 2 * time.Second}}
		r := serve(t, s, ln)
		synctest.Wait()
		begin := time.Now()
		err := r.wait()
		var drained *sockets.DrainError
		if !errors.As(err, &drained) || len(drained.Abandoned) != 1 || drained.Abandoned[0].Phase != "accept" {
			t.Errorf("Serve returned %v", err)
		}
		if since(begin) != 3*time.Second {
			t.Errorf("Serve returned after %v", since(begin))
		}
		close(ln.closed)
		synctest.Wait()
		if n := s.Stats().Running; n != 0 {
			t.Errorf("Running is %d once Accept has returned", n)
		}
	})
}

// TestServeClosesListener: also when it refuses to serve.
func TestServeClosesListener(t *testing.T) {
	tests := map[string]*tcpserver.Server{
		"no handler":      {},
		"no such policy":  {Handler: upper, Limits: tcpserver.Limits{Overload: 9}},
		"nothing unusual": {Handler: upper},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			err = serve(t, s, ln).wait()
			if (err == nil) != (name == "nothing unusual") {
				t.Errorf("Serve returned %v", err)
			}
			if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the listener is not closed: %v", err)
			}
		})
	}
}
