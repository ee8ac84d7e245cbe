package udpserver_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/listen"
	"example.com/sockets/udpserver"
)

const groupSize = 4

// group opens the sockets of s, or skips where the system has no groups.
func group(t *testing.T, s *udpserver.Server) *listen.Packets {
	t.Helper()
	return groupAt(t, s, "127.0.0.1:0")
}

func groupAt(t *testing.T, s *udpserver.Server, address string) *listen.Packets {
	t.Helper()
	s.Sockets = groupSize
	pc, err := s.ListenPacket(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	g, ok := pc.(*listen.Packets)
	if !ok {
		t.Skipf("no groups here: %T", pc)
	}
	if n := len(g.Members()); n != groupSize {
		t.Fatalf("%d sockets, want %d", n, groupSize)
	}
	return g
}

func dialMany(t *testing.T, to net.Addr, n int) (all []*net.UDPConn) {
	t.Helper()
	for range n {
		all = append(all, dial(t, to))
	}
	return all
}

// Every socket has its share of the senders, and each sender keeps to one.
func TestASenderKeepsToOneSocket(t *testing.T) {
	const senders, each = 200, 5
	var mu sync.Mutex
	socketOf := make(map[addr.Endpoint]any)
	sockets := make(map[any]int)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		socket := udpserver.SocketOf(d)
		mu.Lock()
		if first, ok := socketOf[d.From]; ok && first != socket {
			t.Errorf("%v has changed its socket", d.From)
		}
		socketOf[d.From] = socket
		sockets[socket]++
		mu.Unlock()
		return d.Reply(d.Data)
	}}
	g := group(t, s)
	stop := serveOn(t, s, g)
	clients := dialMany(t, g.LocalAddr(), senders)
	for range each {
		for _, c := range clients {
			send(t, c, "x")
			receive(t, c)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Handled != senders*each || st.Sent != senders*each || len(sockets) != groupSize {
		t.Errorf("by socket %v; %+v", sockets, st)
	}
}

// What all sockets had queued when the stop came is handled and answered.
func TestStopHandlesWhatAGroupHadQueued(t *testing.T) {
	const senders, each = 100, 5
	goOn := make(chan struct{})
	s := &udpserver.Server{MaxHandlers: 2, Queue: udpserver.Queue{Full: udpserver.Wait}, Handler: func(_ context.Context, d *udpserver.Datagram) error {
		<-goOn
		return d.Reply(d.Data)
	}}
	g := group(t, s)
	clients := dialMany(t, g.LocalAddr(), senders)
	for _, c := range clients {
		for range each {
			send(t, c, "x")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // before anything is read
	served := make(chan error)
	go func() { served <- s.Serve(ctx, g) }()
	await(func() bool { return s.Stats().Running == 2 && udpserver.Draining(s) })
	close(goOn)
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, c := range clients {
		for range each {
			receive(t, c)
		}
	}
	if st := ledger(t, s); st.Handled != senders*each || st.Drained < st.Handled-2 || st.Dropped.Total() > 0 {
		t.Errorf("stats %+v", st)
	}
}

// While a handler of one socket goes on after a stop, the others stay open, also
// those that are drained: none is closed before the last.
func TestNoSocketClosesBeforeTheLast(t *testing.T) {
	hold, drained := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	clones := make(map[any]*udpserver.Datagram)
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		if string(d.Data) == "hold" {
			hold <- struct{}{}
			<-drained
			return d.Reply(d.Data)
		}
		mu.Lock()
		clones[udpserver.SocketOf(d)] = d.Clone()
		mu.Unlock()
		return d.Reply(d.Data)
	}}
	g := group(t, s)
	stop := serveOn(t, s, g)
	for _, c := range dialMany(t, g.LocalAddr(), 100) {
		send(t, c, "x")
		receive(t, c)
	}
	last := dial(t, g.LocalAddr())
	send(t, last, "hold")
	<-hold
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	await(func() bool { return udpserver.Loops(s) == 1 })
	sent := s.Stats().Sent
	for _, d := range clones {
		if err := d.Reply(nil); err != nil {
			t.Errorf("a socket has closed before the last handler has ended: %v", err)
		}
	}
	if n := s.Stats().Sent - sent; n != uint64(len(clones)) {
		t.Errorf("%d of %d replies of clones were counted", n, len(clones))
	}
	close(drained)
	if got := receive(t, last); got != "hold" {
		t.Errorf("got %q", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for _, d := range clones {
		if err := d.Reply(nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the stop: %v", err)
		}
	}
	if len(clones) != groupSize {
		t.Errorf("%d sockets were used", len(clones))
	}
	ledger(t, s)
}

// An error that ends one loop ends all, and Serve tells it once all have stopped.
func TestOneSocketEndsTheGroup(t *testing.T) {
	s := &udpserver.Server{Handler: echo, Logger: quiet}
	g := group(t, s)
	served := make(chan error)
	go func() { served <- s.Serve(context.Background(), g) }()
	await(func() bool { return udpserver.Loops(s) == groupSize })
	members := g.Members()
	members[2].Close()
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
	for i, m := range members {
		if err := m.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("socket %d is open: %v", i, err)
		}
	}
	ledger(t, s)
}

// Handlers and what waits for them are bounded over all sockets together.
func TestLimitsCoverAGroup(t *testing.T) {
	const senders, each, most, queued = 100, 4, 2, 8
	release := make(chan struct{})
	s := &udpserver.Server{MaxHandlers: most, Queue: udpserver.Queue{Datagrams: queued}, Handler: func(context.Context, *udpserver.Datagram) error {
		<-release
		return nil
	}}
	g := group(t, s)
	stop := serveOn(t, s, g)
	for _, c := range dialMany(t, g.LocalAddr(), senders) {
		for range each {
			send(t, c, "x")
		}
	}
	await(func() bool {
		st := s.Stats()
		return st.Received == senders*each && st.Dropped.Queue == st.Received-most-queued
	})
	if n := s.Stats().Running; n != most {
		t.Errorf("%d handlers at once", n)
	}
	close(release)
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if st := ledger(t, s); st.Handled != most+queued {
		t.Errorf("stats %+v", st)
	}
}

// Nobody joins by mistake, with the option or without it.
func TestNobodyJoinsAGroup(t *testing.T) {
	g := group(t, &udpserver.Server{})
	for n := range 3 {
		pc, err := (&udpserver.Server{Sockets: n}).ListenPacket(t.Context(), g.LocalAddr().String())
		if err == nil {
			pc.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Sockets %d beside a group: %v", n, err)
		}
	}
	for n := -1; n < 2; n++ {
		pc, err := (&udpserver.Server{Sockets: n}).ListenPacket(t.Context(), "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		if _, ok := pc.(*net.UDPConn); !ok {
			t.Errorf("Sockets %d is a %T", n, pc)
		}
		if other, err := (&udpserver.Server{Sockets: 2}).ListenPacket(t.Context(), pc.LocalAddr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			other.Close()
			t.Errorf("a group beside one socket: %v", err)
		}
	}
}
