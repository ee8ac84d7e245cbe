package udpserver

import (
	"reflect"
	"sync/atomic"
)

// Stats is what a Server has done, over all its sockets. It is a snapshot in
// plain numbers, and marshals as JSON.
//
// When nothing runs, Received is the sum of Handled and of each kind of drop.
type Stats struct {
	// Running is how many handlers run now. After Serve has returned it is 0,
	// or the number of those that the *sockets.DrainError lists as abandoned
	// and that have not ended since.
	Running uint64
	// Received is how many datagrams were read, BytesIn how many bytes they
	// had; of a truncated one only the part that was taken.
	Received, BytesIn uint64
	// Handled is how many handlers have ended. Of these Failed returned an
	// error and Panicked ended by a panic or runtime.Goexit; Drained began
	// after a stop had.
	Handled, Failed, Panicked, Drained uint64
	// Dropped counts the datagrams that were received and not handled.
	Dropped Drops
	// Sent is how many datagrams the system has taken from Reply and SendTo,
	// BytesOut how many bytes they had.
	Sent, BytesOut uint64
	// Unsent counts those that it did not take.
	Unsent SendErrors
	// KernelDropped is how many datagrams the system has dropped because the
	// receive buffer was full; several that it had merged (see EngineTrains)
	// count as one. They are not in Received. Known on Linux.
	KernelDropped uint64
	// ReadBuffer and WriteBuffer are the bytes that the buffers of the open
	// sockets hold together, and Waiting of Limit the bytes that wait to be
	// read, with what the system charges beside the data: near 1, datagrams
	// are about to be lost. Known on Linux.
	ReadBuffer, WriteBuffer, Waiting, Limit uint64
	// ReadErrors is how many times reading failed, for other reasons than a
	// truncated datagram. Failing is how many sockets can't be read at the
	// moment; see Health.
	ReadErrors, Failing uint64
}

// Drops counts datagrams that were received and not handled.
type Drops struct {
	// Truncated were longer than Server.MaxSize.
	Truncated uint64
	// PortZero came from port 0, where no reply can go.
	PortZero uint64
	// Self came from the socket that they came to; to answer them would never
	// end.
	Self uint64
	// Malformed came with control data of the system that did not fit, so that
	// the address that a reply must leave from is not known. That happens on a
	// socket for which much else was enabled too.
	Malformed uint64
	// Rate were more than Limits.Rate allows their source.
	Rate uint64
	// Queue found all handlers busy and the queue full, or had to make room
	// in it.
	Queue uint64
	// Stopped had been read when the grace period of a stop was over, and no
	// handler was free for them.
	Stopped uint64
}

// Drop is why a datagram was dropped.
type Drop uint8

// The reasons for a drop, as Drops counts them.
const (
	DropTruncated Drop = iota
	DropPortZero
	DropSelf
	DropRate
	DropQueue
	DropStopped
	DropMalformed
)

// String returns the reason in words.
func (d Drop) String() string {
	switch d {
	case DropTruncated:
		return "truncated"
	case DropPortZero:
		return "from port 0"
	case DropSelf:
		return "from this socket itself"
	case DropRate:
		return "rate exceeded"
	case DropQueue:
		return "queue full"
	case DropStopped:
		return "stopped"
	case DropMalformed:
		return "malformed control data"
	}
	return "invalid"
}

func (d *Drops) counter(why Drop) *uint64 {
	return [...]*uint64{&d.Truncated, &d.PortZero, &d.Self, &d.Rate, &d.Queue, &d.Stopped, &d.Malformed}[why]
}

// Total is the sum of all kinds.
func (d Drops) Total() uint64 {
	return d.Truncated + d.PortZero + d.Self + d.Rate + d.Queue + d.Stopped + d.Malformed
}

// SendErrors counts the datagrams that could not be sent, by what was wrong.
type SendErrors struct {
	// Peer concern one destination: an ICMP message, a firewall, no route.
	Peer uint64
	// Resource: the system was short of buffers, or the link down.
	Resource uint64
	// Argument: the destination can't be reached from this kind of socket.
	Argument uint64
	// TooLong: more bytes than the path takes.
	TooLong uint64
	// Budget were refused because of Limits.ReplyFactor.
	Budget uint64
	// Other are all the rest, a closed socket among them.
	Other uint64
}

// Total is the sum of all kinds.
func (e SendErrors) Total() uint64 {
	return e.Peer + e.Resource + e.Argument + e.TooLong + e.Budget + e.Other
}

// add adds e to d.
func (d *Drops) add(e Drops) { addFields(reflect.ValueOf(d).Elem(), reflect.ValueOf(e)) }

// stats is the loop's share.
func (l *loop) stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.counts
	if l.failed != nil {
		s.Failing = 1
	}
	l.sends.into(&s, (*atomic.Uint64).Load)
	l.memoryLocked(&s)
	return s
}

// Stats returns what the server has done so far. It is safe at any time.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.past
	for l := range s.loops {
		sum.add(l.stats())
	}
	return sum
}

// add adds t to s, field by field.
func (s *Stats) add(t Stats) {
	addFields(reflect.ValueOf(s).Elem(), reflect.ValueOf(t))
}

func addFields(sum, v reflect.Value) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Struct {
			addFields(sum.Field(i), f)
		} else {
			sum.Field(i).SetUint(sum.Field(i).Uint() + f.Uint())
		}
	}
}
