package udpserver

// setBuffers makes the socket's buffers as large as they should be, and says so if
// the system does not let it.
func (l *loop) setBuffers() {
	s := l.server
	l.io.SetBuffers(max(s.ReadBuffer, 0), max(s.WriteBuffer, 0))
	m := l.io.Memory()
	l.drops = m.Drops
	if l.budget = m.Limit; l.budget == 0 {
		l.budget = unknownLimit
	}
	if m.Read > 0 && m.Read < s.ReadBuffer {
		s.log(logBuffer, "local", l.local, "asked", s.ReadBuffer, "granted", m.Read, "raise", "net.core.rmem_max")
	}
	if m.Write > 0 && m.Write < s.WriteBuffer {
		s.log(logBuffer, "local", l.local, "asked", s.WriteBuffer, "granted", m.Write, "raise", "net.core.wmem_max")
	}
}

// unknownLimit bounds a drain where the system does not tell what can wait.
const unknownLimit = 4 << 20

// memoryLocked puts what the system knows into s. Its count of drops is 32 bits
// wide and runs over. What was dropped before Serve began does not count.
func (l *loop) memoryLocked(s *Stats) {
	if !l.closed.Load() {
		m := l.io.Memory()
		if m.Limit > 0 {
			l.counts.KernelDropped += uint64(m.Drops - l.drops)
			l.drops = m.Drops
		}
		s.ReadBuffer, s.WriteBuffer = uint64(m.Read), uint64(m.Write)
		s.Waiting, s.Limit = uint64(m.Waiting), uint64(m.Limit)
	}
	s.KernelDropped = l.counts.KernelDropped
}
