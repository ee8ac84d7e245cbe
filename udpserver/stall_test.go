package udpserver_test

import (
	"context"
	"net"
	"os"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"example.com/sockets/udpserver"
)

// told is a socket whose reads are told from outside: a stop ends one, and those after it
// are told again.
type told struct {
	net.PacketConn
	reads chan func(p []byte) (int, net.Addr, error)
	wake  chan struct{} // closed by a stop
	once  sync.Once
	woken bool // the reader's
}

func newTold(t *testing.T) *told {
	pc, _ := simPair(t)
	return &told{PacketConn: pc, reads: make(chan func([]byte) (int, net.Addr, error), 100), wake: make(chan struct{})}
}

// gets makes a read return size bytes of the sender with that number.
func (s *told) gets(sender byte, size int) {
	s.reads <- func(p []byte) (int, net.Addr, error) {
		return min(size, len(p)), &net.UDPAddr{IP: net.IPv4(192, 0, 2, sender), Port: 9}, nil
	}
}

func (s *told) ReadFrom(p []byte) (int, net.Addr, error) {
	wake := s.wake
	if s.woken {
		wake = nil
	}
	select {
	case <-wake: // first, as a deadline that has passed hides what is queued
		return s.wakes()
	default:
	}
	select {
	case f := <-s.reads:
		return f(p)
	case <-wake:
		return s.wakes()
	}
}

// wakes is how a read ends when a stop begins. It is the only one: what is queued then
// is told afterwards.
func (s *told) wakes() (int, net.Addr, error) {
	s.woken = true
	return 0, nil, os.ErrDeadlineExceeded
}

func (s *told) SetReadDeadline(at time.Time) error {
	if !at.IsZero() && !at.After(time.Now()) {
		s.once.Do(func() { close(s.wake) })
	}
	return nil
}

// created is how many goroutines the process has ever made.
func created(t *testing.T) uint64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	if metrics.Read(sample); sample[0].Value.Kind() != metrics.KindUint64 {
		t.Skip("the runtime does not count goroutines")
	}
	return sample[0].Value.Uint64()
}

// Where a stop has read all it may, and what it has read last waits for a handler of
// the same sender, nobody spins until that ends.
func TestStopWaitsForASenderWithoutSpinning(t *testing.T) {
	const slow, other = 1, 2
	running, goOn := make(chan struct{}, 3), make(chan struct{})
	s := &udpserver.Server{
		Order: udpserver.PerSender, Queue: udpserver.Queue{Datagrams: 8, Bytes: -1, Full: udpserver.Wait},
		Timeouts: udpserver.Timeouts{Grace: 10 * time.Second},
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			if d.From.Addr().As4()[3] == slow {
				running <- struct{}{}
				<-goOn
			}
			return nil
		}}
	pc := newTold(t)
	stop := serveOn(t, s, pc)
	pc.gets(slow, 1)
	<-running
	pc.gets(slow, 1) // all that may wait of one sender
	await(func() bool { return s.Stats().Received == 2 })
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	<-pc.wake              // what is told from here on is read by a loop that drains
	const budget = 4 << 20 // of a socket of which the system does not tell what can wait
	for range budget / 65000 {
		pc.gets(other, 65000-256)
	}
	pc.gets(slow, 65000)
	await(func() bool { return s.Stats().Received == 2+budget/65000+1 })
	before := created(t)
	time.Sleep(50 * time.Millisecond)
	if n := created(t) - before; n > 1000 {
		t.Errorf("%d goroutines were made while all wait", n)
	}
	close(goOn)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if st := ledger(t, s); st.Handled != st.Received {
		t.Errorf("%+v", st)
	}
}
