package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/simnet"
	"example.com/sockets/udpserver"
)

// With all handlers blocked, what comes waits, in its order, and what finds the
// queue full meets the stated fate.
func TestQueue(t *testing.T) {
	tests := []struct {
		name  string
		queue udpserver.Queue
		order udpserver.Order
		want  []int // of datagrams 1 to 10 from one sender, behind one that blocks
		drops uint64
	}{
		{"drop newest", udpserver.Queue{Datagrams: 4}, udpserver.Concurrent, []int{1, 2, 3, 4}, 6},
		{"drop oldest", udpserver.Queue{Datagrams: 4, Full: udpserver.DropOldest}, udpserver.Concurrent, []int{7, 8, 9, 10}, 6},
		{"one place, drop oldest", udpserver.Queue{Datagrams: 1, Full: udpserver.DropOldest}, udpserver.Concurrent, []int{10}, 9},
		{"by bytes", udpserver.Queue{Bytes: 300}, udpserver.Concurrent, []int{1, 2, 3}, 7},
		{"wait", udpserver.Queue{Datagrams: 4, Full: udpserver.Wait}, udpserver.Concurrent, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		{"none, wait", udpserver.Queue{Datagrams: -1, Full: udpserver.Wait}, udpserver.Concurrent, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		{"none", udpserver.Queue{Datagrams: -1}, udpserver.Concurrent, nil, 10},
		{"default", udpserver.Queue{}, udpserver.Concurrent, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
		{"a sender's share", udpserver.Queue{Datagrams: 32}, udpserver.PerSender, []int{1, 2, 3, 4}, 6},
		{"a sender's share, drop oldest", udpserver.Queue{Datagrams: 32, Full: udpserver.DropOldest}, udpserver.PerSender, []int{7, 8, 9, 10}, 6},
		{"a sender's share, wait", udpserver.Queue{Datagrams: 32, Full: udpserver.Wait}, udpserver.PerSender, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var mu sync.Mutex
				var got []int
				s := &udpserver.Server{MaxHandlers: 1, Order: tt.order, Queue: tt.queue, Handler: func(_ context.Context, d *udpserver.Datagram) error {
					<-release
					mu.Lock()
					defer mu.Unlock()
					if d.Data[0] > 0 {
						got = append(got, int(d.Data[0]))
					}
					return nil
				}}
				var traced atomic.Uint64
				s.Trace = &udpserver.Trace{Dropped: func(addr.Endpoint, udpserver.Drop) {
					s.Stats() // no lock is held
					traced.Add(1)
				}}
				pc, c := simPair(t)
				stop := serveOn(t, s, pc)
				for i := range 11 {
					p := make([]byte, 100)
					p[0] = byte(i)
					c.Write(p)
					synctest.Wait()
				}
				close(release)
				synctest.Wait()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("handled %v, want %v", got, tt.want)
				}
				if st := ledger(t, s); st.Dropped.Queue != tt.drops || traced.Load() != tt.drops {
					t.Errorf("dropped %d, traced %d, want %d", st.Dropped.Queue, traced.Load(), tt.drops)
				}
			})
		})
	}
}

// One sender's datagrams in order, one at a time; senders in parallel; a chatty one
// fills nobody's queue but its own.
func TestPerSender(t *testing.T) {
	for _, e := range []udpserver.Engine{udpserver.EngineSingle, udpserver.EngineAuto} {
		const senders, each = 8, 300
		var next [senders]atomic.Int64
		var running [senders]atomic.Int64
		second := make(chan struct{}) // closed by a datagram of another sender
		var once sync.Once
		s := &udpserver.Server{Engine: e, Order: udpserver.PerSender, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			who, n := int(d.Data[0]), int64(d.Data[1])<<8+int64(d.Data[2])
			if running[who].Add(1) != 1 {
				t.Errorf("two handlers of sender %d at once", who)
			}
			defer running[who].Add(-1)
			switch {
			case who == 0 && n == 1:
				<-second
			case who == 1:
				once.Do(func() { close(second) })
			}
			if before := next[who].Swap(n); n < before {
				t.Errorf("sender %d: %d after %d", who, n, before)
			}
			if n%50 == 0 {
				giveWay()
			}
			return d.Reply(d.Data)
		}}
		to, stop := serve(t, s)
		var wg sync.WaitGroup
		for who := range senders {
			c := dial(t, to)
			wg.Go(func() {
				buf := make([]byte, 9)
				for i, got := 1, 0; got < each; got++ {
					for ; i <= each && i-got < 16; i++ {
						c.Write([]byte{byte(who), byte(i >> 8), byte(i)})
					}
					if _, err := c.Read(buf); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if st := ledger(t, s); st.Handled != senders*each {
			t.Errorf("stats %+v", st)
		}
	}
}

// A sender whose handler blocks, and who has sent more, keeps nobody from being read.
func TestABlockedSenderDelaysNobody(t *testing.T) {
	for _, more := range []int{1, 2, 20} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			s := &udpserver.Server{Order: udpserver.PerSender, Handler: func(_ context.Context, d *udpserver.Datagram) error {
				if string(d.Data) == "block" {
					<-release
				}
				return d.Reply(d.Data)
			}}
			n := newTown(t, s)
			blocked, other := n.client("10.0.0.1"), n.client("10.0.0.2")
			for range more {
				send(t, blocked, "block")
			}
			start := time.Now()
			send(t, other, "hello")
			if got := receive(t, other); got != "hello" || time.Since(start) > 20*time.Millisecond {
				t.Errorf("behind %d of a blocked sender %q came after %v", more, got, time.Since(start))
			}
			close(release)
			for range more {
				receive(t, blocked)
			}
			n.stop()
			ledger(t, s)
		})
	}
}

func TestAChattySenderHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var handled sync.Map
		s := &udpserver.Server{Order: udpserver.PerSender, MaxHandlers: 1, Queue: udpserver.Queue{Datagrams: 64}, Handler: func(_ context.Context, d *udpserver.Datagram) error {
			<-release
			n, _ := handled.LoadOrStore(d.From, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			return nil
		}}
		n := simnet.New(simnet.Options{})
		pc, err := n.ListenPacket(t.Context(), "udp", "127.0.0.1:9000")
		if err != nil {
			t.Fatal(err)
		}
		stop := serveOn(t, s, pc)
		var clients []net.Conn
		for range 4 {
			c, err := n.DialContext(t.Context(), "udp", "127.0.0.1:9000")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients = append(clients, c)
		}
		for i := range 100 { // the first floods, the others say one thing each
			fmt.Fprint(clients[0], i)
			synctest.Wait()
		}
		for _, c := range clients[1:] {
			fmt.Fprint(c, "once")
			synctest.Wait()
		}
		close(release)
		synctest.Wait()
		stop()
		count := 0
		handled.Range(func(any, any) bool { count++; return true })
		if st := ledger(t, s); count != len(clients) || st.Handled != 1+8+3 {
			t.Errorf("%d senders were handled, want %d; %+v", count, len(clients), st)
		}
	})
}

// A stop that must not wait for the queue drops it, and says so in the ledger.
func TestCutOffWithAQueue(t *testing.T) {
	for _, order := range []udpserver.Order{udpserver.Concurrent, udpserver.PerSender} {
		synctest.Test(t, func(t *testing.T) {
			s := &udpserver.Server{MaxHandlers: 1, Order: order, Timeouts: udpserver.Timeouts{Grace: time.Second}, Handler: func(ctx context.Context, d *udpserver.Datagram) error {
				<-ctx.Done()
				return nil
			}}
			pc, c := simPair(t)
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- s.Serve(ctx, pc) }()
			for range 5 {
				fmt.Fprint(c, "x")
			}
			synctest.Wait()
			cancel()
			if err := <-served; err == nil {
				t.Error("a handler was cut off, and Serve does not say so")
			}
			if st := ledger(t, s); st.Dropped.Stopped != 4 || st.Handled != 1 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// A long datagram that comes to a queue full of bytes takes the place of as many as it
// needs, and one that is longer than the queue costs none.
func TestDropOldestMakesRoomForALongOne(t *testing.T) {
	for _, order := range []udpserver.Order{udpserver.Concurrent, udpserver.PerSender} {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			var handled []string
			s := &udpserver.Server{MaxHandlers: 1, Order: order,
				Queue: udpserver.Queue{Datagrams: 64, Bytes: 4, Full: udpserver.DropOldest},
				Handler: func(_ context.Context, d *udpserver.Datagram) error {
					<-release
					handled = append(handled, string(d.Data))
					return nil
				}}
			pc, c := simPair(t)
			stop := serveOn(t, s, pc)
			for _, m := range []string{"0", "1", "2", "3", "4", "far too long", "567"} {
				send(t, c, m)
				synctest.Wait()
			}
			close(release)
			synctest.Wait()
			stop()
			if want := []string{"0", "4", "567"}; !slices.Equal(handled, want) {
				t.Errorf("order %d: handled %q, want %q", order, handled, want)
			}
			if st := ledger(t, s); st.Dropped.Queue != 4 {
				t.Errorf("order %d: %+v", order, st)
			}
		})
	}
}
