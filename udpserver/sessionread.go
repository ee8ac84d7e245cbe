package udpserver

import (
	"time"

	"example.com/sockets/internal/backoff"
	"example.com/sockets/internal/udpio"
)

// read is the goroutine of one socket. It ends with that.
func (l *SessionListener) read(s *sessionSocket) {
	retry := backoff.Backoff{Min: time.Millisecond, Max: time.Second}
	for failing := 0; ; {
		packets, err := s.io.Read()
		if err == nil {
			failing = 0
			retry.Reset()
			l.arrive(s, packets)
			continue
		}
		failing++
		if pause, ends := l.readFailed(s.io, err, failing); ends {
			l.readEnds(err)
			return
		} else if pause {
			_ = retry.Wait(l.stop) // the close of the socket ends it
		}
	}
}

// readFailed says what an error of a read asks for, as Server does: the error of one
// datagram is over with it, what has no other cause may pass, and a socket that
// repeats that it is none is believed. failing is how many came in a row.
func (l *SessionListener) readFailed(io udpio.Conn, err error, failing int) (pause, ends bool) {
	class := udpio.Classify(err)
	if class == udpio.Deadline {
		_ = io.Clear() // somebody else's
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut || class == udpio.Closed || failing >= strikes && isUseless(class) {
		return false, true
	}
	if class == udpio.TooLong { // how some sockets say that a datagram was cut
		l.counts.Received++
		l.counts.Dropped.Truncated++
		return failing >= patience, false
	}
	l.counts.ReadErrors++
	return class != udpio.Peer || failing >= patience, false
}

// readEnds tells everybody who waits. Of a group the first socket's error is the end.
func (l *SessionListener) readEnds(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.acceptable.Broadcast()
	for _, s := range l.table {
		s.readable.Broadcast()
	}
}
