package tcpserver

import (
	"net"
	"sync"
	"sync/atomic"

	"example.com/sockets"
	"example.com/sockets/internal/drain"
	"example.com/sockets/internal/sockopt"
)

// Stats are a Server's numbers at one moment. Each of Accepted has ended as one of
// Served, Failed, Panics, Handshakes, Rejected, RejectedSource, Shed or Unserved, or
// is one of Running, or waits in an accept loop for its turn.
type Stats struct {
	// Accepted connections, since the start.
	Accepted int64
	// Served connections: their handlers ended normally (see
	// sockets.Handler).
	Served int64
	// Failed handlers: they ended with an error, or with runtime.Goexit.
	Failed int64
	// Panics are handlers that panicked.
	Panics int64
	// Handshakes are connections whose Prepare or TLS failed.
	Handshakes int64
	// Rejected and RejectedSource connections were turned away because
	// Limits.Conns or Handshakes, or Limits.PerSource, was reached.
	Rejected, RejectedSource int64
	// Shed connections were closed at once because the process had no
	// descriptor left.
	Shed int64
	// Unserved connections were closed without a handler, because the grace
	// period of a stop was over before it was their turn.
	Unserved int64
	// Evicted are those, of the above, that were closed in favour of another.
	Evicted int64
	// AcceptErrors are failures of Accept, of single connections included.
	AcceptErrors int64
	// Read and Written are bytes, of all connections, also those open.
	Read, Written int64
	// Running is what the server has started and has not ended: the
	// connections that are open, and what a stop had to abandon. It is 0
	// when Serve has returned without a DrainError.
	Running int64
	// Handshaking, Idle and Lingering are those of Running in Prepare or TLS;
	// that wait for a message; and whose handlers have returned, or that were
	// rejected, and which stay open until the peer has read the last reply.
	Handshaking, Idle, Lingering int64
	// Queue is how many connections the system holds for the server to
	// accept, and QueueLimit how many it holds at most before it ignores
	// more: a queue that is not empty for long is the first sign of a server
	// that can't keep up. Both are 0 where the system doesn't tell.
	Queue, QueueLimit int64
}

// counters are what Stats is made of.
type counters struct {
	accepted, served, failed, panics, unprepared atomic.Int64
	rejected, rejectedSource, shed, unserved     atomic.Int64
	starved, evicted, acceptErrors               atomic.Int64
	running, handshaking, lingering              atomic.Int64

	moved struct { // by connections that are gone
		sync.Mutex
		read, written int64
	}
}

// Stats returns the numbers of this moment. They are read one after the other, so
// that while the server works they may be off by what happens in between.
func (s *Server) Stats() Stats {
	st := Stats{
		Accepted:       s.accepted.Load(),
		Served:         s.served.Load(),
		Failed:         s.failed.Load(),
		Panics:         s.panics.Load(),
		Handshakes:     s.unprepared.Load(),
		Rejected:       s.rejected.Load(),
		RejectedSource: s.rejectedSource.Load(),
		Shed:           s.shed.Load(),
		Unserved:       s.unserved.Load(),
		Evicted:        s.evicted.Load(),
		AcceptErrors:   s.acceptErrors.Load(),
		Running:        s.running.Load(),
		Handshaking:    s.handshaking.Load(),
		Lingering:      s.lingering.Load(),
	}
	for _, ln := range s.addMembers(&st) {
		n, limit, _ := sockopt.AcceptQueue(ln)
		st.Queue += int64(n)
		st.QueueLimit += int64(limit)
	}
	return st
}

// addMembers adds what the connections tell, and returns the listeners. As long as it
// runs no connection leaves.
func (s *Server) addMembers(st *Stats) (listeners []net.Listener) {
	s.moved.Lock()
	defer s.moved.Unlock()
	st.Read, st.Written = s.moved.read, s.moved.written
	for _, m := range s.members() {
		switch m := m.(type) {
		case *connection:
			read, written, _ := m.guard.Traffic()
			st.Read += read
			st.Written += written
			if _, ok := m.guard.IdleSince(); ok {
				st.Idle++
			}
		case *loop:
			listeners = append(listeners, m.ln)
		}
	}
	return listeners
}

// drainError is what a stop that cut off or left members has to say, nil if it did
// neither.
func (s *Server) drainError(cut, left []drain.Member) error {
	e := &sockets.DrainError{Grace: s.Timeouts.grace()}
	running := make(map[drain.Member]bool, len(left))
	for _, m := range left {
		running[m] = true
	}
	for _, m := range cut {
		switch m := m.(type) {
		case *connection:
			if running[m] {
				e.Abandoned = append(e.Abandoned, m.straggler())
			} else {
				e.CutOff = append(e.CutOff, m.straggler())
			}
		case *loop:
			if st, ok := m.abandon(); ok {
				e.Abandoned = append(e.Abandoned, st)
			}
		}
	}
	if len(e.CutOff)+len(e.Abandoned) == 0 {
		return nil
	}
	return e
}
