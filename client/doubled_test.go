package client_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// exchange makes a thousand calls, 64 at once, and checks that each gets its own
// reply.
func exchange(t *testing.T, call func(ctx context.Context, request []byte) ([]byte, error)) {
	t.Helper()
	next := make(chan uint32)
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for i := range next {
				request := withID(i, "call")
				if reply, err := call(t.Context(), request); err != nil || string(reply) != string(withID(i, "CALL")) {
					t.Errorf("%d: got %q, %v", i, reply, err)
				}
			}
		})
	}
	for i := range uint32(1000) {
		next <- i
	}
	close(next)
	callers.Wait()
}

// twice answers every message with two replies, in one segment.
func twice(f sockets.Framing) func(c *sockets.Conn) {
	return func(c *sockets.Conn) {
		for m, err := range c.Messages() {
			if err != nil {
				return
			}
			reply, _ := f.Append(nil, bytes.Replace(m, []byte("call"), []byte("CALL"), 1))
			if _, err := c.Write(append(reply, reply...)); err != nil {
				return
			}
		}
	}
}

// A server answers everything twice. With an id, or with Match, a pipeline drops
// the second reply; a pool gives the connection up and counts why.
func TestDoubledReplies(t *testing.T) {
	framing := sockets.LengthPrefix(2, 0)
	match := func(request, reply []byte) bool { return bytes.Equal(request[:4], reply[:4]) }
	for name, d := range map[string]client.Dialer{"ID": {ID: idOf}, "Match": {Match: match}, "both": {ID: idOf, Match: match}} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) {
				d.Framing = framing
				p := dialPipeline(w, d, 0, twice(framing))
				exchange(t, p.Call)
			})
		})
	}
	t.Run("pool", func(t *testing.T) {
		inWorld(t, simnet.Options{Trace: -1}, func(t *testing.T, w *world) {
			serve := twice(framing)
			ln := must(w.server.Listen(t.Context(), "tcp", ":80"))(t)
			var conns sync.WaitGroup
			conns.Go(func() {
				for nc, err := ln.Accept(); err == nil; nc, err = ln.Accept() {
					conns.Go(func() { defer nc.Close(); serve(sockets.NewConn(nc, framing)) })
				}
			})
			p := newPool(w, &client.Pool{Conns: 8, Dialer: client.Dialer{Framing: framing}})
			exchange(t, p.Call)
			if s := p.Stats(); s.Retired.Unasked != 1000 || s.Dialed != 1000 || s.Failed != 0 || w.now() != 0 {
				t.Errorf("at %v: %+v", w.now(), s)
			}
			ln.Close()
			p.Close()
			conns.Wait()
		})
	})
}

// Without either nothing tells the second reply from the next call's; one that comes
// when no call waits for any ends the pipeline before it does harm.
func TestDoubledReplyInOrder(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		framing := sockets.Lines(0)
		p := dialPipeline(w, client.Dialer{}, 0, twice(framing))
		if reply, err := p.Call(t.Context(), []byte("one")); string(reply) != "one" {
			t.Errorf("got %q, %v", reply, err)
		}
		time.Sleep(time.Second)
		if reply, err := p.Call(t.Context(), []byte("two")); err == nil || !sockets.NotSent(err) {
			t.Errorf("got %q, %v", reply, err)
		}
	})
}
