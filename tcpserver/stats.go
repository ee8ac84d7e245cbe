package tcpserver

import (
	"sync/atomic"

	"example.com/sockets"
	"example.com/sockets/internal/drain"
)

// Stats are a Server's numbers at one moment. Each of Accepted has ended as one of
// Served, Failed, Panics or Unserved, is one of Running, or waits for a slot.
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
	// Unserved connections were accepted and closed without a handler,
	// because the grace period of a stop was over before a slot was free.
	Unserved int64
	// AcceptErrors are failures of Accept, of single connections included.
	AcceptErrors int64
	// Read and Written are bytes, of all connections, also those open.
	Read, Written int64
	// Running is what the server has started and has not ended: the
	// connections that are open, and what a stop had to abandon. It is 0
	// when Serve has returned without a DrainError.
	Running int64
	// Lingering are those of Running whose handlers have returned, and which
	// stay open until the peer has read the last reply.
	Lingering int64
}

// counters are what Stats is made of.
type counters struct {
	accepted, served, failed, panics, unserved, acceptErrors atomic.Int64
	read, written                                            atomic.Int64
	running, lingering                                       atomic.Int64
}

// Stats returns the numbers of this moment. They are read one after the other, so
// that while the server works they may be off by what happens in between.
func (s *Server) Stats() Stats {
	st := Stats{
		Accepted:     s.accepted.Load(),
		Served:       s.served.Load(),
		Failed:       s.failed.Load(),
		Panics:       s.panics.Load(),
		Unserved:     s.unserved.Load(),
		AcceptErrors: s.acceptErrors.Load(),
		Read:         s.read.Load(),
		Written:      s.written.Load(),
		Running:      s.running.Load(),
		Lingering:    s.lingering.Load(),
	}
	for _, c := range s.connections() {
		read, written, _ := c.guard.Traffic()
		st.Read += read
		st.Written += written
	}
	return st
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
