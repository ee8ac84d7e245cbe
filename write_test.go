package sockets_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/internal/guard"
	"example.com/sockets/simnet"
)

// A large write goes on as long as the peer takes a byte now and then.
func TestWriteIsRenewed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000})
		c, _ := guarded(here, guard.Limits{Write: time.Minute})
		start := time.Now()
		message := bytes.Repeat([]byte("x"), 20_000)
		read := make(chan []byte)
		go func() {
			p := make([]byte, 500)
			var all []byte
			for len(all) < len(message) {
				time.Sleep(30 * time.Second)
				n, err := there.Read(p)
				if err != nil {
					t.Error(err)
				}
				all = append(all, p[:n]...)
			}
			read <- all
		}()
		if n, err := c.Write(message); n != len(message) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		if d := time.Since(start); d < 10*time.Minute {
			t.Errorf("it took %v only, which tests nothing", d)
		}
		if !bytes.Equal(<-read, message) {
			t.Error("something else arrived")
		}
	})
}

// A peer that takes nothing ends the connection exactly at the limit; one that
// took something at first, after twice that at most.
func TestErrWrite(t *testing.T) {
	tests := []struct {
		name   string
		before int // what fills the buffers
		want   time.Duration
	}{
		{"takes nothing", 2000, time.Minute},
		{"took some at first", 0, 2 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				here, _ := simPair(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000})
				c, g := guarded(here, guard.Limits{Write: time.Minute})
				if _, err := here.Write(make([]byte, min(tt.before, 1000))); err != nil {
					t.Fatal(err)
				}
				if tt.before > 0 {
					synctest.Wait()
					_ = here.SetWriteDeadline(time.Now().Add(time.Second))
					_, _ = here.Write(make([]byte, 2000))
					_ = here.SetWriteDeadline(time.Time{})
				}
				start := time.Now()
				_, err := c.Write(make([]byte, 5000))
				wantFinal(t, "Write", err, sockets.ErrWrite)
				took(t, "Write", start, tt.want)
				wantError(t, "the context", context.Cause(g), sockets.ErrWrite)
				_, err = c.Read(make([]byte, 1))
				wantFinal(t, "Read", err, sockets.ErrWrite)
				wantFinal(t, "WriteMessage", c.WriteMessage(nil), sockets.ErrWrite)
			})
		})
	}
}

// After a message was written in part, every write returns the same error.
func TestPartialMessagePoisons(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000})
		c := sockets.NewConn(here, nil)
		_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
		first := c.WriteMessage(make([]byte, 5000))
		wantTimeout(t, "the first", first)
		go func() { _, _ = io.Copy(io.Discard, there) }()
		synctest.Wait()
		_ = c.SetWriteDeadline(time.Time{})
		if err := c.WriteMessage([]byte("x")); !isEndBy(err, first) {
			t.Errorf("WriteMessage: %v, want the same error as at first, %v", err, first)
		}
		if _, err := c.Write([]byte("x")); !isEndBy(err, first) {
			t.Errorf("Write: %v", err)
		}
		if _, err := c.ReadMessage(); !isEndBy(err, first) {
			t.Errorf("ReadMessage: %v", err)
		}
		_, err := c.Call(t.Context(), []byte("x"))
		if !errors.Is(err, first) || !sockets.NotSent(err) {
			t.Errorf("Call: %v, NotSent %v", err, sockets.NotSent(err))
		}
	})
}

// isEndBy reports whether err is first again, as the end of the conversation: a
// timeout is none the second time, or a loop that retries timeouts would spin.
func isEndBy(err, first error) bool { return errors.Is(err, first) && !sockets.IsTimeout(err) }

// A reader that waits for a message learns of it, too.
func TestPartialMessageWakesReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, _ := simPair(t, simnet.Options{ReadBuffer: 1000, WriteBuffer: 1000})
		c := sockets.NewConn(here, nil)
		_ = c.SetWriteDeadline(time.Now().Add(time.Minute))
		start := time.Now()
		var first error
		var wg sync.WaitGroup
		wg.Go(func() { first = c.WriteMessage(make([]byte, 5000)) })
		_, err := c.ReadMessage()
		wg.Wait()
		wantTimeout(t, "the writer", first)
		if !isEndBy(err, first) {
			t.Errorf("the reader: %v", err)
		}
		took(t, "the reader", start, time.Minute)
	})
}

// A raw write may be cut and go on: its caller knows where.
func TestPartialWriteGoesOn(t *testing.T) {
	for name, pair := range map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair} {
		here, there := pair(t)
		c := sockets.NewConn(here, nil)
		message := bytes.Repeat([]byte("0123456789"), 800_000)
		_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := c.Write(message)
		wantTimeout(t, name, err)
		if n <= 0 || n == len(message) {
			t.Errorf("%s: %d of %d written", name, n, len(message))
		}
		_ = c.SetWriteDeadline(time.Time{})
		go func() {
			_, _ = c.Write(message[n:])
			c.Close()
		}()
		if got, err := io.ReadAll(there); !bytes.Equal(got, message) || err != nil {
			t.Errorf("%s: %d bytes arrived, %v", name, len(got), err)
		}
	}
}

func TestWriteMessageNeverInterleaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{ReadBuffer: 700, WriteBuffer: 300})
		c := sockets.NewConn(here, nil)
		const writers, each = 50, 20
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for range each {
					if err := c.WriteMessage(bytes.Repeat([]byte{byte('0' + i)}, 10+37*i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		go func() { wg.Wait(); c.Close() }()
		lines := bufio.NewScanner(there)
		n := 0
		for ; lines.Scan(); n++ {
			if l := lines.Text(); strings.Trim(l, l[:1]) != "" || len(l) != 10+37*int(l[0]-'0') {
				t.Fatalf("a line of %d bytes, mixed: %q", len(l), l)
			}
		}
		if n != writers*each {
			t.Errorf("%d lines arrived", n)
		}
	})
}

func TestCloseWrite(t *testing.T) {
	pairs := map[string]func(*testing.T) (net.Conn, net.Conn){"tcp": tcpPair, "unix": unixPair}
	for name, pair := range pairs {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			c := sockets.NewConn(here, nil)
			send(t, c, "question")
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(there); string(b) != "question" || err != nil {
				t.Errorf("the peer reads %q, %v", b, err)
			}
			send(t, there, "answer\n")
			wantMessage(t, c, "answer")
			_, err := c.Write([]byte("more"))
			wantError(t, "writing on", err, syscall.EPIPE)
		})
	}
	t.Run("pipe", func(t *testing.T) {
		here, _ := pipePair(t)
		wantError(t, "CloseWrite", sockets.NewConn(here, nil).CloseWrite(), errors.ErrUnsupported)
	})
}

// TLS says close_notify, and the socket below it FIN.
func TestCloseWriteOfTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		here, there := simPair(t, simnet.Options{})
		wire := &fin{Conn: there}
		c, peer := upgraded(t, here, wire)
		send(t, c, "question")
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(peer); string(b) != "question" || err != nil {
			t.Errorf("the peer reads %q, %v: no close_notify", b, err)
		}
		if _, err := wire.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("below TLS %v, want the FIN", err)
		}
		send(t, peer, "answer\n")
		wantMessage(t, c, "answer")
	})
}

type fin struct{ net.Conn }

// Over a transport that has no half-close close_notify must do.
func TestCloseWriteOfTLSOverPipe(t *testing.T) {
	here, there := pipePair(t)
	c, peer := upgraded(t, here, there)
	done := make(chan error, 1)
	go func() { done <- c.CloseWrite() }()
	if b, err := io.ReadAll(peer); len(b) != 0 || err != nil {
		t.Errorf("the peer reads %q, %v", b, err)
	}
	wantError(t, "CloseWrite", <-done, nil)
	go send(t, peer, "answer\n")
	wantMessage(t, c, "answer")
}

// upgraded makes a TLS connection: a Conn on the server's side, and its client.
func upgraded(t *testing.T, here, there net.Conn) (*sockets.Conn, *tls.Conn) {
	t.Helper()
	server, client := tlsConfigs(t)
	c, peer := sockets.NewConn(here, nil), tls.Client(there, client)
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, peer
}

func serverTLS(config *tls.Config) func(net.Conn) (net.Conn, error) {
	return func(nc net.Conn) (net.Conn, error) {
		s := tls.Server(nc, config)
		return s, s.Handshake()
	}
}

// Records of TLS have a clock each, so a large write is renewed there as well.
func TestWriteLimitOfTLS(t *testing.T) {
	for _, drip := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			here, there := simPair(t, simnet.Options{ReadBuffer: 20_000, WriteBuffer: 20_000})
			server, client := tlsConfigs(t)
			c, _ := guarded(here, guard.Limits{Write: time.Minute})
			peer := tls.Client(there, client)
			go func() { _ = peer.Handshake() }()
			if err := c.Upgrade(t.Context(), serverTLS(server)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			message := make([]byte, 500_000)
			start := time.Now()
			got := make(chan int, 1)
			go func() {
				n, p := 0, make([]byte, 16<<10)
				for drip && n < len(message) {
					time.Sleep(10 * time.Second)
					k, err := io.ReadFull(peer, p[:min(len(p), len(message)-n)])
					if n += k; err != nil {
						t.Error(err)
						break
					}
				}
				got <- n
			}()
			n, err := c.Write(message)
			if drip {
				c.Close()
				if m := <-got; n != len(message) || err != nil || m != n || time.Since(start) < 4*time.Minute {
					t.Errorf("wrote %d, %v after %v; %d arrived", n, err, time.Since(start), m)
				}
				return
			}
			wantFinal(t, "Write", err, sockets.ErrWrite)
			took(t, "Write", start, time.Minute) // the first records fit
			if n == 0 || n%(16<<10) != 0 {
				t.Errorf("%d bytes written, want whole records", n)
			}
		})
	}
}

func TestShortWriteIsAnError(t *testing.T) {
	c := sockets.NewConn(&short{}, nil)
	if n, err := c.Write([]byte("abc")); n != 1 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%d, %v", n, err)
	}
}

type short struct{ feed }

func (*short) Write(p []byte) (int, error) { return len(p) - 2, nil }

// A panic of a framing does not keep the turn.
func TestPanicInAppendLeavesTheTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := conversation(t, panics{sockets.Lines(0)})
		for name, f := range map[string]func(){
			"WriteMessage": func() { _ = c.WriteMessage(nil) },
			"Call":         func() { _, _ = c.Call(t.Context(), nil) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s does not panic", name)
					}
				}()
				f()
			}()
			if n, err := c.Write([]byte("x")); n != 1 || err != nil {
				t.Errorf("after %s: %d, %v", name, n, err)
			}
		}
	})
}

type panics struct{ sockets.Framing }

func (panics) Append([]byte, []byte) ([]byte, error) { panic("odd") }

// The write deadline of a foreign connection is taken off after the write: it may
// be TLS, which also writes when it reads.
func TestWriteDeadlineIsTakenOff(t *testing.T) {
	here, _ := tcpPair(t)
	w := &watched{Conn: here}
	c, _ := guarded(w, guard.Limits{Write: time.Minute})
	send(t, c, "x")
	if n := len(w.write); n != 2 || w.write[0].IsZero() || !w.write[1].IsZero() {
		t.Errorf("write deadlines set: %v, want one and then none", w.write)
	}
}

// watched writes down which deadlines are set.
type watched struct {
	net.Conn
	read, write []time.Time
}

func (w *watched) SetReadDeadline(t time.Time) error {
	w.read = append(w.read, t)
	return w.Conn.SetReadDeadline(t)
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.write = append(w.write, t)
	return w.Conn.SetWriteDeadline(t)
}

func (w *watched) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// A transport's own deadline error is passed on, and nobody asks again.
func TestForeignDeadlineErrors(t *testing.T) {
	f := &feed{then: fmt.Errorf("own: %w", os.ErrDeadlineExceeded)}
	c, _ := guarded(f, guard.Limits{Idle: time.Hour})
	for i := range 3 {
		_, err := c.ReadMessage()
		wantTimeout(t, "ReadMessage", err)
		if f.reads != i+1 || !strings.Contains(err.Error(), "own") {
			t.Errorf("%d reads for %d calls, %v", f.reads, i+1, err)
		}
	}
}
