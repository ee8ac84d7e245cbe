package udpserver

// SocketOf tells the sockets of a group apart: it is equal for datagrams that came
// to the same one.
func SocketOf(d *Datagram) any { return d.worker.loop }

// Loops is how many sockets are not drained.
func Loops(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.loops)
}
