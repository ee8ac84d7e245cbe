package udpserver

import (
	"errors"
	"net"

	"example.com/sockets/internal/udpio"
)

// sessionSocket is a socket that a SessionListener reads: its only one, or one of a
// group, whose senders keep to it.
type sessionSocket struct {
	io    udpio.Conn
	own   own    // the reader's
	drops uint32 // the system's count when it was last read; under the listener's lock
}

// open makes pc, or each socket of that group, ready to be read. It reports false if
// one is closed already.
func (l *SessionListener) open(pc net.PacketConn) bool {
	for _, m := range membersOf(pc) {
		io := udpio.Open(m, l.config.MaxSize, udpio.Engine(l.config.Engine))
		if udpio.Classify(io.Clear()) == udpio.Closed { // a deadline from before would end every read
			return false
		}
		l.sockets = append(l.sockets, &sessionSocket{io: io, own: newOwn(m, l.local), drops: io.Memory().Drops})
	}
	return true
}

// closeSockets closes all, unless somebody else was first.
func (l *SessionListener) closeSockets() error {
	var failed []error
	for _, s := range l.sockets {
		if err := s.io.Close(); err != nil && udpio.Classify(err) != udpio.Closed {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// newDrops is how many datagrams the system has dropped since it was last asked. It
// counts in 32 bits, which run over.
func (s *sessionSocket) newDrops() uint64 {
	m := s.io.Memory()
	if m.Limit == 0 {
		return 0
	}
	n := m.Drops - s.drops
	s.drops = m.Drops
	return uint64(n)
}
