package tcpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// chat serves a group: each line goes to everybody else.
func chat(g *tcpserver.Group, ended func(error)) sockets.Handler {
	return func(ctx context.Context, c *sockets.Conn) error {
		g.Add(c)
		defer g.Remove(c)
		for line, err := range c.Messages() {
			if err != nil {
				ended(context.Cause(ctx))
				return err
			}
			g.Broadcast(line, c)
		}
		ended(context.Cause(ctx))
		return nil
	}
}

// TestGroupBroadcast: every member gets every message, whole and in one order,
// whoever else sends and comes and goes.
func TestGroupBroadcast(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var g tcpserver.Group
		r := serveSim(t, &tcpserver.Server{Handler: chat(&g, func(error) {})})
		const listeners, speakers, each = 5, 4, 10
		var got [listeners]string
		var reading sync.WaitGroup
		for i := range listeners {
			c := r.client()
			reading.Go(func() {
				lines := bufio.NewScanner(c)
				for n := 0; n < speakers*each && lines.Scan(); n++ {
					got[i] += lines.Text() + "\n"
				}
				c.Close()
			})
		}
		synctest.Wait()
		var speaking sync.WaitGroup
		for s := range speakers {
			speaking.Go(func() {
				c := r.client()
				defer c.Close()
				go io.Copy(io.Discard, c)
				for n := range each {
					fmt.Fprintf(c, "speaker %d, line %d\n", s, n)
				}
				time.Sleep(time.Second)
			})
		}
		speaking.Wait()
		reading.Wait()
		for i := range listeners {
			if got[i] != got[0] || strings.Count(got[i], "\n") != speakers*each {
				t.Errorf("listener %d got\n%s\nlistener 0 got\n%s", i, got[i], got[0])
			}
		}
		if err := r.wait(); err != nil {
			t.Error(err)
		}
		if st := g.Stats(); st.Members != 0 || st.Disconnected != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestGroupSlow: a member that does not read delays nobody, and each policy does
// with it what it says.
func TestGroupSlow(t *testing.T) {
	const queue, sent = 4, 100
	message := []byte(strings.Repeat("x", 60_000))
	tests := []struct {
		policy tcpserver.Policy
		closed bool
	}{
		{tcpserver.Disconnect, true},
		{tcpserver.DropNewest, false},
		{tcpserver.DropOldest, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.policy), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				g := tcpserver.Group{Queue: queue, Slow: tt.policy}
				var mu sync.Mutex
				var causes []error
				r := serveSim(t, &tcpserver.Server{
					Handler: chat(&g, func(err error) {
						mu.Lock()
						defer mu.Unlock()
						causes = append(causes, err)
					}),
					Timeouts: tcpserver.Timeouts{Write: time.Hour, Grace: time.Second},
				})
				stuck, good := r.client(), r.client()
				var received int
				go func() {
					n, _ := io.Copy(io.Discard, good)
					received = int(n) / (len(message) + 1)
				}()
				synctest.Wait()
				begin := time.Now()
				for i := range sent {
					last := append([]byte(fmt.Sprintf("%03d", i)), message...)
					g.Broadcast(last)
					synctest.Wait() // the good one has read it
				}
				if since(begin) != 0 {
					t.Errorf("the broadcasts took %v", since(begin))
				}
				st := g.Stats()
				mu.Lock()
				cause := errors.Join(causes...)
				mu.Unlock()
				if tt.closed != (st.Disconnected == 1) || tt.closed != errors.Is(cause, tcpserver.ErrSlow) {
					t.Errorf("%+v, cause %v", st, cause)
				}
				if !tt.closed {
					checkSlow(t, stuck, tt.policy, st, sent)
				}
				r.stop()
				stuck.Close()
				good.Close()
				r.wait()
				synctest.Wait()
				if received != sent {
					t.Errorf("the good member received %d of %d", received, sent)
				}
			})
		})
	}
}

// checkSlow reads what a member gets after all that did not read in time.
func checkSlow(t *testing.T, stuck net.Conn, policy tcpserver.Policy, st tcpserver.GroupStats, sent int) {
	t.Helper()
	stuck.SetReadDeadline(time.Now().Add(time.Second))
	lines := bufio.NewScanner(stuck)
	lines.Buffer(nil, 1<<20)
	var last string
	n := 0
	for lines.Scan() {
		last = lines.Text()[:3]
		n++
	}
	if got := n + int(st.Dropped); got != sent {
		t.Errorf("received %d and dropped %d of %d", n, st.Dropped, sent)
	}
	newest := fmt.Sprintf("%03d", sent-1)
	if (last == newest) != (policy == tcpserver.DropOldest) {
		t.Errorf("the last it got is %s", last)
	}
}

// TestGroupRemove: after Remove nothing is written, twice is once, and a member
// whose connection has failed is out by itself.
func TestGroupRemove(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var g tcpserver.Group
		a, b := net.Pipe()
		c := sockets.NewConn(a, nil)
		g.Add(c)
		g.Add(c)
		if n := g.Broadcast([]byte("one")); n != 1 {
			t.Errorf("queued for %d", n)
		}
		if line, err := bufio.NewReader(b).ReadString('\n'); line != "one\n" {
			t.Errorf("read %q, %v", line, err)
		}
		g.Remove(c)
		g.Remove(c)
		if n := g.Broadcast([]byte("two")); n != 0 {
			t.Errorf("queued for %d after Remove", n)
		}
		g.Add(c)
		b.Close()
		g.Broadcast([]byte("three"))
		synctest.Wait()
		if n := g.Stats().Members; n != 0 {
			t.Errorf("%d members after the connection failed", n)
		}
		g.Remove(c)
		c.Close()
	})
}

// A chat room: what one member says goes to all the others. A member that does not
// read is disconnected, and delays nobody.
func ExampleGroup() {
	var room tcpserver.Group
	server := tcpserver.Server{
		Logger: quiet,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			room.Add(c)
			defer room.Remove(c)
			if err := c.WriteMessage([]byte("welcome")); err != nil {
				return err
			}
			for line, err := range c.Messages() {
				if err != nil {
					return err
				}
				room.Broadcast(line, c)
			}
			return nil
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error)
	go func() { served <- server.Serve(ctx, ln) }()

	join := func() (*sockets.Conn, string) {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, err.Error()
		}
		c := sockets.NewConn(nc, nil)
		welcome, _ := c.ReadMessage()
		return c, string(welcome)
	}
	one, welcome := join()
	defer one.Close()
	fmt.Println(welcome)
	two, welcome := join()
	defer two.Close()
	fmt.Println(welcome)
	_ = two.WriteMessage([]byte("hello, everybody"))
	heard, err := one.ReadMessage()
	fmt.Printf("%s, %v\n", heard, err)

	stop()
	fmt.Println("stopped:", <-served)
	// Output:
	// welcome
	// welcome
	// hello, everybody, <nil>
	// stopped: <nil>
}
