package udpserver_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/udpio"
	"example.com/sockets/udpserver"
)

// inbox is what handlers have seen.
type inbox struct {
	mu   sync.Mutex
	seen []string
	from map[addr.Endpoint]int
}

// handle replies with what came.
func (b *inbox) handle(_ context.Context, d *udpserver.Datagram) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.from == nil {
		b.from = make(map[addr.Endpoint]int)
	}
	b.seen = append(b.seen, string(d.Data))
	b.from[d.From]++
	return d.Reply(d.Data)
}

// Empty datagrams are datagrams, in one batch with others, with every engine: none
// ends the batch, the loop or the sender's place, and an empty reply is sent.
func TestEmptyDatagrams(t *testing.T) {
	for name, e := range engineNames {
		t.Run(name, func(t *testing.T) {
			var b inbox
			s := &udpserver.Server{Engine: e, Order: udpserver.PerSender, Handler: b.handle}
			pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, pc.LocalAddr())
			messages := []string{"", "x", "", "", "y", ""}
			send(t, c, messages...) // before anything is read: they come together
			stop := serveOn(t, s, pc)
			for i, m := range messages {
				if got := receive(t, c); got != m {
					t.Errorf("reply %d is %q, want %q", i, got, m)
				}
			}
			if err := stop(); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if !slices.Equal(b.seen, messages) || len(b.from) != 1 {
				t.Errorf("handled %q of %v", b.seen, b.from)
			}
			ledger(t, s)
		})
	}
}

// Datagrams that left their sender as one (UDP_SEGMENT) come apart as they were, of
// whichever sizes, and with every engine.
func TestTrainsComeApart(t *testing.T) {
	for name, e := range engineNames {
		for _, sizes := range [][2]int{{1, 64}, {100, 60}, {1472, 40}, {1000, 1}} { // and how many
			t.Run(fmt.Sprintf("%s, %d of %d", name, sizes[1], sizes[0]), func(t *testing.T) {
				var b inbox
				s := &udpserver.Server{Engine: e, Handler: b.handle}
				to, stop := serve(t, s)
				want := sendTrain(t, to, sizes[0], sizes[1])
				await(func() bool { return int(s.Stats().Handled) == len(want) })
				if err := stop(); err != nil {
					t.Errorf("Serve: %v", err)
				}
				slices.Sort(want)
				if slices.Sort(b.seen); !slices.Equal(b.seen, want) || len(b.from) != 1 {
					t.Errorf("handled %d datagrams of %v, want %d", len(b.seen), b.from, len(want))
				}
			})
		}
	}
}

// sendTrain sends n datagrams of one size and a shorter one together, where the system
// can, and returns them.
func sendTrain(t *testing.T, to net.Addr, size, n int) (sent []string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := udpio.Open(pc, 2048, udpio.Trains)
	t.Cleanup(func() { c.Close() })
	r := udpio.Route{Peer: netip.MustParseAddrPort(to.String())}
	out := c.NewBatch(func(_ udpio.Route, err error) { t.Errorf("sending: %v", err) })
	for i := range n {
		sent = append(sent, strings.Repeat(string(rune('a'+i%26)), size))
	}
	sent = append(sent, strings.Repeat("z", size/2))
	for _, m := range sent {
		if out == nil || !out.Add([]byte(m), r) {
			if err := c.Write([]byte(m), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out != nil {
		out.Send()
	}
	return sent
}

// A system that says of a datagram only that it was too long (Windows) is believed: it
// counts as received and truncated, and reading goes on.
func TestTruncatedWithoutSender(t *testing.T) {
	const times = 20 // more than are survived without a pause
	script := func(call int) error {
		if call <= times {
			return syscall.EMSGSIZE
		}
		return nil
	}
	if runtime.GOOS == "windows" {
		t.Skip("it has another number")
	}
	synctest.Test(t, func(t *testing.T) {
		told := 0
		s := &udpserver.Server{Handler: echo, Logger: quiet, Trace: &udpserver.Trace{Dropped: func(_ addr.Endpoint, why udpserver.Drop) {
			if why == udpserver.DropTruncated {
				told++
			}
		}}}
		pc, c := simPair(t)
		stop := serveOn(t, s, &faulty{PacketConn: pc, script: script})
		send(t, c, "hello")
		if got := receive(t, c); got != "hello" {
			t.Errorf("got %q", got)
		}
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if st := ledger(t, s); st.Dropped.Truncated != times || told != times || st.Received != times+1 {
			t.Errorf("traced %d, stats %+v", told, st)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		pc, c := simPair(t)
		ln := sessions(t, &faulty{PacketConn: pc, script: script}, udpserver.SessionConfig{})
		send(t, c, "hello")
		want(t, accept(t, ln), "hello")
		if st := sessionLedger(t, ln); st.Dropped.Truncated != times || st.Received != times+1 || st.ReadErrors != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A MaxSize that says nothing, or more than there is, takes the longest datagram whole.
func TestMaxSizes(t *testing.T) {
	for _, size := range []int{0, -1, 65_507, 1 << 30} {
		s := &udpserver.Server{MaxSize: size, Handler: echo}
		to, stop := serve(t, s)
		c := dial(t, to)
		for _, n := range []int{65_507, 0, 1} {
			send(t, c, strings.Repeat("x", n))
			if got := receive(t, c); len(got) != n {
				t.Errorf("MaxSize %d: %d bytes of %d", size, len(got), n)
			}
		}
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
		if st := ledger(t, s); st.ReadErrors > 0 || st.Dropped.Total() > 0 {
			t.Errorf("MaxSize %d: %+v", size, st)
		}
	}
}

// A flood of 10,000 datagrams, all handlers blocked: few goroutines, no line in the
// log, and every datagram is accounted for.
func TestFloodOfASlowHandler(t *testing.T) {
	const n, most, queued = 10_000, 4, 64
	var log safeBuffer
	release := make(chan struct{})
	s := &udpserver.Server{
		MaxHandlers: most, Queue: udpserver.Queue{Datagrams: queued}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		Handler: func(context.Context, *udpserver.Datagram) error { <-release; return nil },
	}
	before := runtime.NumGoroutine()
	to, stop := serve(t, s)
	c := dial(t, to)
	send(t, c, "first")
	await(func() bool { return s.Stats().Running == 1 }) // from here on the system's drops count
	for range n - 1 {
		send(t, c, "flood")
	}
	end := time.Now().Add(10 * time.Second)
	await(func() bool {
		st := s.Stats()
		return runtime.GOOS != "linux" || st.Received+st.KernelDropped == n || time.Now().After(end)
	})
	if extra := runtime.NumGoroutine() - before; extra > most+20 { // those parked, and Serve's own
		t.Errorf("%d goroutines for %d handlers", extra, most)
	}
	close(release)
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	st := ledger(t, s)
	if runtime.GOOS == "linux" && st.Received+st.KernelDropped != n || st.Handled < most+queued || st.Dropped.Total() != st.Dropped.Queue {
		t.Errorf("%+v", st)
	}
	if text := log.String(); text != "" {
		t.Errorf("logged:\n%s", text)
	}
}

// A socket that is connected to one peer hears that one, and answers it.
func TestConnectedSocket(t *testing.T) {
	peer := ordinary(t)
	pc, err := net.DialUDP("udp", nil, peer.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	s := &udpserver.Server{Handler: echo}
	stop := serveOn(t, s, pc)
	for range 3 {
		write(t, peer, pc.LocalAddr().(*net.UDPAddr).AddrPort(), "hello")
		peer.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 100)
		if n, err := peer.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Fatalf("%q, %v; %+v", buf[:n], err, s.Stats().Unsent)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if st := ledger(t, s); st.Sent != 3 {
		t.Errorf("%+v", st)
	}
}
