package udpserver

import "sync/atomic"

// SessionStats is what a SessionListener has done. It is a snapshot in plain
// numbers, and marshals as JSON.
//
// Received is the sum of Read, Waiting and each kind of drop.
type SessionStats struct {
	// Sessions is how many there are now, Pending how many of them wait for
	// Accept.
	Sessions, Pending uint64
	// Opened is how many have begun. Of those that have ended Idle were idle
	// for too long, and Evicted had to make room; the others were closed.
	Opened, Idle, Evicted uint64
	// Received is how many datagrams were read from the socket, BytesIn how
	// many bytes they had; of a truncated one only the part that was taken.
	Received, BytesIn uint64
	// Read is how many datagrams the sessions' Read has returned, Waiting how
	// many can be read now.
	Read, Waiting uint64
	// Queued is the memory that the waiting datagrams take, in bytes.
	Queued uint64
	// Dropped counts the datagrams that no session has returned.
	Dropped SessionDrops
	// Sent is how many datagrams the system has taken, BytesOut how many bytes
	// they had.
	Sent, BytesOut uint64
	// Unsent counts those that it did not take; Write has returned the error.
	Unsent SendErrors
	// KernelDropped is how many datagrams the system has dropped since Sessions
	// because the receive buffer was full. They are not in Received. Known on
	// Linux while the socket is open.
	KernelDropped uint64
	// ReadErrors is how many times reading failed, for other reasons than a
	// truncated datagram.
	ReadErrors uint64
}

// SessionDrops counts datagrams that were received and that no session has
// returned.
type SessionDrops struct {
	// Truncated were longer than SessionConfig.MaxSize.
	Truncated uint64
	// PortZero came from port 0, and NoAddress from a socket without a name,
	// where no reply can go.
	PortZero, NoAddress uint64
	// Self came from the socket that they came to; to answer them would never
	// end.
	Self uint64
	// Malformed came with control data of the system that did not fit; see
	// Drops.Malformed.
	Malformed uint64
	// Backlog and PerSource were the first of their sender, and too many
	// sessions waited for Accept, or came from the same source.
	Backlog, PerSource uint64
	// Closed were the first of their sender, and the listener was closed.
	Closed uint64
	// Queue found the queue of their session, or all queues together, full.
	Queue uint64
	// Unread waited in a session when that ended.
	Unread uint64
}

// Total is the sum of all kinds.
func (d SessionDrops) Total() uint64 {
	return d.Truncated + d.Malformed + d.PortZero + d.NoAddress + d.Self + d.Backlog + d.PerSource + d.Closed + d.Queue + d.Unread
}

// Stats returns what the listener has done so far. It is safe at any time.
func (l *SessionListener) Stats() SessionStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, each := range l.sockets {
		if !l.shut {
			l.counts.KernelDropped += each.newDrops()
		}
	}
	s := l.counts
	s.Sessions, s.Pending, s.Queued = uint64(len(l.table)), uint64(l.pending.Len()), uint64(l.queued)
	var sent Stats
	l.sends.into(&sent, (*atomic.Uint64).Load)
	s.Sent, s.BytesOut, s.Unsent = sent.Sent, sent.BytesOut, sent.Unsent
	return s
}
