package client_test

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/internal/sockopt"
)

// A connection on which something has come, or which the peer has ended, is not
// handed on, though nobody has read that yet: neither to who waits nor, before its
// watcher has looked, to who comes next.
func TestPoolHandsOnWhatIsSound(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nobody can tell")
	}
	for _, tt := range []struct {
		name  string
		then  func(net.Conn)
		count func(client.Retired) int64
	}{
		{"unasked", func(c net.Conn) { c.Write([]byte("and another\n")) }, func(r client.Retired) int64 { return r.Unasked }},
		{"ended", func(c net.Conn) { c.(*net.TCPConn).CloseWrite() }, func(r client.Retired) int64 { return r.Ended }},
		{"reset", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, func(r client.Retired) int64 { return r.Reset }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan struct{}) // the reply has been read
			ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
			go func() {
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					go serveThen(nc, got, tt.then)
				}
			}()
			defer ln.Close()
			p := &client.Pool{Address: ln.Addr().String(), Conns: 1}
			calls(4, func(int) { // one has it, and the others wait
				for range 5 {
					err := p.Do(t.Context(), func(ctx context.Context, c *sockets.Conn) error {
						if _, err := c.Call(ctx, []byte("hello")); err != nil {
							return err
						}
						got <- struct{}{}
						var probe sockopt.Probe
						probe.Init(c.NetConn())
						for end := time.Now().Add(5 * time.Second); !probe.Ready() && time.Now().Before(end); {
							runtime.Gosched() // until it is here
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			p.Close()
			if s := p.Stats(); tt.count(s.Retired) != 20 || s.Dialed != 20 || s.Failed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// serveThen answers one line, and does something when the reply has been read.
func serveThen(nc net.Conn, got <-chan struct{}, then func(net.Conn)) {
	defer nc.Close()
	c := sockets.NewConn(nc, nil)
	if line, err := c.ReadMessage(); err == nil {
		c.WriteMessage(upper(line))
		<-got
		then(nc)
		c.ReadMessage()
	}
}
