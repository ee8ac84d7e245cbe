package udpserver

import (
	"log/slog"
	"sync"
	"time"
)

// kind is what a log line is about. Each kind has an episode of its own.
type kind uint8

const (
	logPanic kind = iota
	logHandler
	logRead
	logBuffer
	kinds
)

var messages = [kinds]string{
	logPanic:   "udpserver: handler panicked",
	logHandler: "udpserver: handler failed",
	logRead:    "udpserver: reading failed",
	logBuffer:  "udpserver: the system does not grant the buffer",
}

// episode lets one line through and holds back those that follow within a
// second: what goes wrong for one datagram may go wrong for a million, and a
// line for each fills the disk.
type episode struct {
	mu     sync.Mutex
	until  time.Time
	hidden int
}

func (e *episode) begins() (hidden int, ok bool) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Before(e.until) {
		e.hidden++
		return 0, false
	}
	hidden, e.hidden = e.hidden, 0
	e.until = now.Add(time.Second)
	return hidden, true
}

// log writes a line of kind k, if it is the first of an episode.
func (s *Server) log(k kind, attrs ...any) {
	hidden, ok := s.logs[k].begins()
	if !ok {
		return
	}
	if hidden > 0 {
		attrs = append(attrs, "suppressed", hidden)
	}
	logger := s.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Error(messages[k], attrs...)
}
