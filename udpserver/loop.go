package udpserver

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/backoff"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/udpio"
)

// loop is one socket that is served; see run for the call of Serve it is part of.
//
// It has no reading goroutine. A worker that finds nothing to do takes the read
// turn, reads, and claims one datagram of what it has read. Whoever claims sees
// to it that somebody looks after the rest: a follower that it wakes, which claims
// the next, or takes the turn and reads on; or the watcher (follow.go). So a handler
// runs on the goroutine that has read its datagram, without a queue and a switch in
// between, and delays nobody if it blocks.
type loop struct {
	server  *Server
	io      udpio.Conn
	local   addr.Endpoint
	handler Handler
	private bool            // handler never shows its *Datagram to anybody
	ctx     context.Context // the handlers'
	cancel  context.CancelCauseFunc
	stop    context.Context // ends when a stop begins
	set     *drain.Set      // the run's
	over    chan struct{}   // closed when nothing more will be read
	woken   chan struct{}   // closed when a stop has interrupted reading
	cut     chan struct{}   // closed when the grace period is over
	turn    chan struct{}   // where the one worker that waits for a slot is given it
	polling atomic.Bool     // somebody is in a Read
	closed  atomic.Bool     // the socket is
	removed atomic.Bool     // it is in the server's sum
	sends   sends
	echoes  *echoes

	// Whoever holds the read turn has these.
	own     own
	retry   backoff.Backoff
	failing int // read errors in a row
	drains  bool
	budget  int // bytes that a draining loop may still read

	mu         sync.Mutex
	batch      []udpio.Packet // what was read and nobody has claimed yet
	readAt     time.Time      // when that was
	queue      queue          // what waits for a handler
	untold     []udpio.Route  // dropped, and Trace does not know
	slotWaited bool           // somebody waits for a slot
	turnTaken  bool           // somebody has the read turn
	waking     bool           // a follower was woken, and has not looked yet
	draining   bool           // a stop has begun
	ended      bool           // nothing more will be read
	pace       pace
	cutOff     bool  // nothing more will be handled
	failed     error // of the last try to read, during the pause before the next
	err        error // why reading ended, nil for a stop
	workers    int
	idle       []*worker // those that are parked, the last to come is woken first
	drops      uint32    // the system's count when it was last read
	counts     Stats
	spare      [][]byte      // buffers for long datagrams
	owing      []*worker     // those that collect what they send
	outs       []udpio.Batch // empty ones
}

// maxSize is more than any datagram has: 65,507 bytes over IPv4, 65,527 over
// IPv6 (RFC 768, the length field less the header).
const maxSize = 65535

// newLoop makes pc, which is one of n sockets, ready to be served.
func (r *run) newLoop(ctx context.Context, pc net.PacketConn, n int) *loop {
	s := r.server
	local, _ := addr.From(pc.LocalAddr())
	size := s.MaxSize
	if size <= 0 || size > maxSize {
		size = maxSize
	}
	l := &loop{
		server: s, io: udpio.Open(pc, size, udpio.Engine(s.Engine)), local: local, set: &r.set,
		handler: s.Handler, private: responds(s.Handler),
		over: make(chan struct{}), woken: make(chan struct{}), cut: make(chan struct{}),
		turn:  make(chan struct{}, 1),
		retry: backoff.Backoff{Min: time.Millisecond, Max: time.Second},
	}
	l.ctx, l.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	l.own = newOwn(pc, local)
	l.echoes = newEchoes(pc, size, l.own)
	if s.ECN {
		l.io.WantECN()
	}
	l.queue = newQueue(s.Queue, s.Order, n)
	l.setBuffers()
	_ = l.io.Clear() // a deadline from before would end every read
	return l
}

func (t Timeouts) grace() time.Duration {
	if t.Grace == 0 {
		return 5 * time.Second
	}
	return t.Grace
}

// add makes l one of the server's loops, remove takes it out when its last
// worker has gone, so that its figures are never missing from the sum.
func (s *Server) add(l *loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loops == nil {
		s.loops = make(map[*loop]struct{})
	}
	s.loops[l] = struct{}{}
}

func (s *Server) remove(l *loop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loops, l)
	last := l.stats() // of an open socket: a closed one does not tell what was dropped
	last.ReadBuffer, last.WriteBuffer, last.Waiting, last.Limit = 0, 0, 0, 0
	last.Sent, last.BytesOut, last.Unsent = 0, 0, SendErrors{}
	s.past.add(last)
	l.removed.Store(true)
	s.addSendsLocked(l)
}
