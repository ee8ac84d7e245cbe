package tcpserver_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// TestLingerKeepsReply: a handler that leaves input unread and returns does not
// destroy its reply: the client reads every byte, and then EOF.
func TestLingerKeepsReply(t *testing.T) {
	for _, size := range []int{10, 256 << 10, 1 << 20} {
		reply := bytes.Repeat([]byte{'r'}, size)
		r := serveReal(t, &tcpserver.Server{Handler: func(_ context.Context, c *sockets.Conn) error {
			if _, err := io.ReadFull(c, make([]byte, 16)); err != nil {
				return err
			}
			_, err := c.Write(reply)
			return err
		}})
		for range 20 {
			c := r.client()
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			if len(got) != size || err != nil {
				t.Errorf("client read %d bytes of %d, %v", len(got), size, err)
			}
			c.Close()
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	}
}

// TestLingerEnds: a client that neither reads nor ends is waited for no longer than
// Linger, without a slot, and a stop's grace ends it.
func TestLingerEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := serveSim(t, &tcpserver.Server{
			Handler: func(_ context.Context, c *sockets.Conn) error {
				if err := c.Await(); err != nil {
					return err
				}
				return c.WriteMessage([]byte("reply"))
			},
			Limits:   tcpserver.Limits{Conns: 1},
			Timeouts: tcpserver.Timeouts{Linger: 3 * time.Second},
		})
		stuck := r.client()
		defer stuck.Close()
		stuck.Write(make([]byte, 1000)) // more than is read ahead
		begin := time.Now()
		synctest.Wait()
		if st := r.Stats(); st.Lingering != 1 {
			t.Fatalf("%+v, want one lingering", st)
		}
		next := r.client() // the slot is free
		defer next.Close()
		next.Write([]byte("x"))
		if got, err := io.ReadAll(next); string(got) != "reply\n" || err != nil {
			t.Errorf("the next client read %q, %v", got, err)
		}
		if since(begin) != 0 {
			t.Errorf("the next client waited %v", since(begin))
		}
		time.Sleep(3*time.Second - 1)
		if n := r.Stats().Lingering; n != 1 {
			t.Errorf("%d linger just before the end, want 1", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := r.Stats().Lingering; n != 0 {
			t.Errorf("%d linger after it, want 0", n)
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestNoLinger: what has nothing to lose is closed at once: a silent connection,
// one whose reply was acknowledged, one whose peer has ended.
func TestNoLinger(t *testing.T) {
	r := serveReal(t, &tcpserver.Server{
		Handler: func(_ context.Context, c *sockets.Conn) error {
			if err := c.Await(); err != nil {
				return err
			}
			m, err := c.ReadMessage()
			if err != nil {
				return err
			}
			return c.WriteMessage(m)
		},
		Timeouts: tcpserver.Timeouts{Linger: time.Hour, Grace: time.Hour},
	})
	silent, asked, over := r.client(), r.client(), r.client()
	ask(t, asked, "x")
	over.Write([]byte("bye\n"))
	over.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(over); string(got) != "bye\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := ended(asked); err != io.EOF {
		t.Error(err)
	}
	begin := time.Now()
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	if took := since(begin); took > time.Minute { // an hour, if it lingered
		t.Errorf("the stop took %v", took)
	}
	for _, c := range []net.Conn{silent, asked, over} {
		c.Close()
	}
	runtime.KeepAlive(r)
}
