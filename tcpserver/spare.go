package tcpserver

import (
	"net"
	"os"
	"syscall"
	"time"

	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/sockopt"
)

// spare is a descriptor held for the day on which there is no other. Then a server
// can give it up, accept the connection that waits, close it, so that the client
// gets an answer instead of hanging, and take the descriptor back.
type spare struct {
	file *os.File // nil: none, or given up, or another was quicker to take it
}

// starving is how often at least it is looked whether a client has come while there
// is no descriptor: it is to be answered soon.
const starving = 50 * time.Millisecond

// open takes the descriptor if it is not held and there is one.
func (s *spare) open() {
	if s.file == nil {
		s.file, _ = os.Open(os.DevNull)
	}
}

func (s *spare) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
}

// accept accepts in place of the spare descriptor. It returns the connection if by
// now there is room for both; otherwise it is closed, and shed says so.
func (s *spare) accept(ln net.Listener, err error) (nc net.Conn, shed bool) {
	if s.file == nil || !errno.In(err, syscall.EMFILE, syscall.ENFILE) {
		return nil, false
	}
	if sockopt.CanPoll && !sockopt.Queued(ln) {
		// Linux looks for a descriptor before it looks into the queue. To
		// wait here for a client, with the spare one given up, would be to
		// lose it to whoever opens a file meanwhile.
		return nil, false
	}
	s.close()
	nc, err = ln.Accept()
	if err != nil {
		s.open()
		return nil, false
	}
	if s.open(); s.file != nil {
		return nc, false
	}
	_ = nc.Close()
	s.open()
	return nil, true
}
