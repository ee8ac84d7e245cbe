package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// dialPipeline makes a pipeline to a server whose connection f has.
func dialPipeline(w *world, d client.Dialer, depth int, f func(c *sockets.Conn)) *client.Pipeline {
	ln := must(w.server.Listen(w.t.Context(), "tcp", ":80"))(w.t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		c := sockets.NewConn(nc, d.Framing)
		defer c.Close()
		f(c)
	}()
	p := must(w.dialer(d).DialPipeline(w.t.Context(), "10.0.0.2:80", depth))(w.t)
	w.t.Cleanup(func() { p.Close(); ln.Close(); <-done })
	return p
}

// calls makes n calls at once and waits for them.
func calls(n int, call func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { call(i) })
	}
	all.Wait()
}

// echo answers in order.
func echo(c *sockets.Conn) {
	for line := range c.Messages() {
		c.WriteMessage(line)
	}
}

// A hundred calls over a link of 50 ms take one round trip for each 64 of them.
func TestPipelineInOrder(t *testing.T) {
	for _, tt := range []struct {
		depth int
		want  time.Duration
	}{{0, 200 * ms}, {1, 10 * time.Second}, {10, time.Second}, {-1, 100 * ms}} {
		t.Run(fmt.Sprint(tt.depth), func(t *testing.T) {
			inWorld(t, simnet.Options{Link: simnet.Link{Latency: 50 * ms}}, func(t *testing.T, w *world) {
				p := dialPipeline(w, client.Dialer{Timeout: time.Minute}, tt.depth, echo)
				start := w.now()
				calls(100, func(i int) {
					request := fmt.Sprint("call ", i)
					if reply, err := p.Call(t.Context(), []byte(request)); err != nil || string(reply) != request {
						t.Errorf("%s: got %q, %v", request, reply, err)
					}
				})
				if d := w.now() - start; d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
			})
		})
	}
}

// A server that answers the last first: with an id each call gets its own reply.
func TestPipelineByID(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := client.Dialer{Framing: sockets.LengthPrefix(2, 0), ID: idOf}
		p := dialPipeline(w, d, 0, func(c *sockets.Conn) {
			var got []string
			for m := range c.Messages() {
				if got = append(got, string(m)); len(got) < 20 {
					continue
				}
				c.WriteMessage([]byte("?"))
				for i := range got {
					c.WriteMessage([]byte(got[len(got)-1-i]))
				}
				got = nil
			}
		})
		calls(60, func(i int) {
			request := withID(uint32(i), "hello")
			if reply, err := p.Call(t.Context(), request); err != nil || string(reply) != string(request) {
				t.Errorf("%d: got %q, %v", i, reply, err)
			}
		})
		if _, err := p.Call(t.Context(), []byte("abc")); !sockets.NotSent(err) {
			t.Errorf("without an id: %v", err)
		}
	})
}

// A call that gives up leaves its place to its reply: the others get theirs.
func TestPipelineGivesUp(t *testing.T) {
	match := func(request, reply []byte) bool { return string(request) == string(reply) }
	for name, d := range map[string]client.Dialer{"in order": {}, "Match": {Match: match}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				p := dialPipeline(w, d, 2, func(c *sockets.Conn) {
					time.Sleep(time.Second)
					echo(c)
				})
				calls(2, func(i int) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
					if i == 1 {
						cancel()
						ctx, cancel = t.Context(), func() {}
					}
					defer cancel()
					request := fmt.Sprint("call ", i)
					reply, err := p.Call(ctx, []byte(request))
					if i == 0 && (!sockets.IsTimeout(err) || sockets.NotSent(err) || w.now() != time.Second/2) {
						t.Errorf("at %v: %v", w.now(), err)
					}
					if i == 1 && string(reply) != request {
						t.Errorf("%s: got %q, %v", request, reply, err)
					}
				})
				calls(10, func(i int) {
					request := fmt.Sprint("next ", i)
					if reply, err := p.Call(t.Context(), []byte(request)); string(reply) != request {
						t.Errorf("%s: got %q, %v", request, reply, err)
					}
				})
			})
		})
	}
}

// Who waits for a place can give up, and has sent nothing.
func TestPipelineDepth(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		p := dialPipeline(w, client.Dialer{}, 1, func(c *sockets.Conn) {
			time.Sleep(2 * time.Second)
			echo(c)
		})
		go p.Call(t.Context(), []byte("first"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Call(ctx, []byte("second")); !sockets.IsTimeout(err) || !sockets.NotSent(err) || w.now() != time.Second {
			t.Errorf("at %v: %v", w.now(), err)
		}
	})
}

// What ends the connection ends its calls; those that were sent may have been
// executed, those after it were not sent.
func TestPipelineEnds(t *testing.T) {
	tests := []struct {
		name string
		how  func(c *sockets.Conn)
		is   error
	}{
		{"eof", func(c *sockets.Conn) { c.CloseWrite(); time.Sleep(time.Second) }, io.ErrUnexpectedEOF},
		{"half a reply", func(c *sockets.Conn) { c.Write([]byte("hal")); c.CloseWrite(); time.Sleep(time.Second) }, io.ErrUnexpectedEOF},
		{"too long", func(c *sockets.Conn) {
			c.Write([]byte(strings.Repeat("x", 100) + "\n"))
			time.Sleep(time.Second)
		}, sockets.ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
				p := dialPipeline(w, client.Dialer{Framing: sockets.Lines(50), Timeout: 500 * ms}, 0, func(c *sockets.Conn) {
					for range 2 {
						c.ReadMessage()
					}
					tt.how(c)
				})
				failed := make(chan error, 2)
				calls(2, func(int) {
					_, err := p.Call(t.Context(), []byte("hello"))
					failed <- err
					if sockets.NotSent(err) {
						t.Errorf("sent, and %v", err)
					}
				})
				if a, b := <-failed, <-failed; !errors.Is(a, tt.is) && !errors.Is(b, tt.is) {
					t.Errorf("got %v and %v", a, b)
				}
				if tt.is == sockets.ErrTooLong {
					return // the connection goes on
				}
				if _, err := p.Call(t.Context(), []byte("next")); !errors.Is(err, tt.is) || !sockets.NotSent(err) {
					t.Errorf("next: %v", err)
				}
			})
		})
	}
}

// A reply that nobody asked for: the order is lost.
func TestPipelineUnasked(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		p := dialPipeline(w, client.Dialer{}, 0, func(c *sockets.Conn) {
			c.WriteMessage([]byte("welcome"))
			echo(c)
		})
		synctest.Wait()
		if _, err := p.Call(t.Context(), []byte("hello")); err == nil || !sockets.NotSent(err) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPipelineClose(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		p := dialPipeline(w, client.Dialer{}, 10, func(c *sockets.Conn) { time.Sleep(time.Minute) })
		time.AfterFunc(time.Second, func() { p.Close() })
		calls(20, func(int) {
			if _, err := p.Call(t.Context(), []byte("hello")); !errors.Is(err, net.ErrClosed) || w.now() != time.Second {
				t.Errorf("at %v: %v", w.now(), err)
			}
		})
		if err := p.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// A request that the framing refuses, and one that ends before it began, harm
// nobody; one that is cut in the middle ends the connection, and only its own
// caller is told that the time ran out.
func TestPipelineWrites(t *testing.T) {
	inWorld(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000}, func(t *testing.T, w *world) {
		p := dialPipeline(w, client.Dialer{}, 0, func(c *sockets.Conn) {
			m, _ := c.ReadMessage()
			c.WriteMessage(m)
			time.Sleep(time.Minute)
		})
		if _, err := p.Call(t.Context(), []byte("two\nlines")); !errors.Is(err, sockets.ErrDelimiter) || !sockets.NotSent(err) {
			t.Errorf("refused: %v", err)
		}
		if reply, err := p.Call(t.Context(), []byte("hello")); string(reply) != "hello" {
			t.Errorf("got %q, %v", reply, err)
		}
		other := make(chan error)
		go func() {
			_, err := p.Call(t.Context(), []byte("other"))
			other <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Call(ctx, []byte(strings.Repeat("x", 10_000)))
		if !sockets.IsTimeout(err) || sockets.NotSent(err) || w.now() != time.Second {
			t.Errorf("cut: at %v: %v", w.now(), err)
		}
		if err := <-other; sockets.IsTimeout(err) || sockets.NotSent(err) {
			t.Errorf("other: %v", err)
		}
	})
}

// lateEnd is a connection of which a write, when it is done, ends the context of its
// call, and returns when the pipeline has set the deadline that follows from that.
type lateEnd struct {
	net.Conn
	cancel func()
	past   chan struct{}
}

func (l *lateEnd) Write(b []byte) (int, error) {
	n, err := l.Conn.Write(b)
	if l.cancel != nil {
		l.cancel()
		<-l.past
		l.cancel = nil
	}
	return n, err
}

func (l *lateEnd) SetWriteDeadline(at time.Time) error {
	err := l.Conn.SetWriteDeadline(at)
	if !at.IsZero() && !at.After(time.Now()) && l.cancel != nil {
		close(l.past)
	}
	return err
}

// The end of a call whose request was written at that very moment does not hit the
// next request.
func TestPipelineLateDeadline(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		late := &lateEnd{past: make(chan struct{})}
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.client.DialContext(ctx, network, address)
			late.Conn = nc
			return late, err
		}
		ln := must(w.server.Listen(t.Context(), "tcp", ":80"))(t)
		serveLines(t, ln)
		p := must((&client.Dialer{DialContext: dial}).DialPipeline(t.Context(), "10.0.0.2:80", 0))(t)
		defer p.Close()
		ctx, cancel := context.WithCancel(t.Context())
		late.cancel = cancel
		if reply, err := p.Call(ctx, []byte("first")); err == nil && string(reply) != "FIRST" || err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("got %q, %v", reply, err)
		}
		if reply, err := p.Call(t.Context(), []byte("second")); string(reply) != "SECOND" {
			t.Errorf("got %q, %v", reply, err)
		}
	})
}

// Calls that are cancelled at any moment leave nothing behind that hits the next
// one: no deadline, no reply.
func TestPipelineCancelRace(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	address := listen(t, "tcp", "127.0.0.1:0").Addr().String()
	p := must(new(client.Dialer).DialPipeline(t.Context(), address, 0))(t)
	defer p.Close()
	for i := range rounds {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range i % 50 {
				runtime.Gosched()
			}
			cancel()
		}()
		reply, err := p.Call(ctx, []byte("cancelled"))
		if err == nil && string(reply) != "CANCELLED" || err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("round %d: got %q, %v", i, reply, err)
		}
		if reply, err := p.Call(t.Context(), []byte("hello")); err != nil || string(reply) != "HELLO" {
			t.Fatalf("round %d: got %q, %v", i, reply, err)
		}
		<-ctx.Done()
	}
}
