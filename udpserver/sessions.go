package udpserver

import (
	"container/list"
	"context"
	"math"
	"net"
	"net/netip"
	"sync"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/internal/operr"
)

// SessionConfig bounds the sessions of one socket. The zero value works: in all its
// limits zero is the stated default and negative is none.
type SessionConfig struct {
	// Idle is how long a session lives after its last datagram in either
	// direction; 0 means 2 minutes. A datagram counts when it arrives, whether
	// or not somebody reads it, and when it is written.
	Idle time.Duration
	// Sessions is how many there are at most; 0 means 16,384. When one more
	// sender comes the session that was idle the longest makes room, with
	// sockets.ErrEvicted.
	Sessions int
	// PerSource is how many sessions one IPv4 address or one IPv6 /64 network
	// may have; 0 means any number. A sender beyond it is dropped, so that it
	// makes nobody else go.
	PerSource int
	// Backlog is how many sessions wait for Accept at most; 0 means 1,024. A
	// sender beyond it is dropped.
	Backlog int
	// QueueBytes is the memory that the unread datagrams of one session may
	// take, TotalBytes that of all sessions together; 0 means 256 KiB and
	// 16 MiB. What comes beyond it is dropped. Memory is taken in powers of two
	// from 4 KiB up, and each datagram takes 4 bytes beside its own, so that a
	// bound below 128 KiB keeps the longest datagrams out.
	QueueBytes, TotalBytes int
	// MaxSize is the longest datagram that is taken, in bytes; 0 or negative
	// means 65,535, which is longer than any. Longer ones are dropped.
	MaxSize int
	// Engine is how datagrams are read; the zero value is the fastest way that
	// the socket and the system have.
	Engine Engine
}

// limit is what a field means: 0 the default, negative none.
func limit(given, standard int) int {
	switch {
	case given == 0:
		return standard
	case given < 0:
		return math.MaxInt
	}
	return given
}

// withDefaults fills in what the zero values mean.
func (c SessionConfig) withDefaults() SessionConfig {
	if c.Idle == 0 {
		c.Idle = 2 * time.Minute
	}
	c.Sessions = limit(c.Sessions, 16384)
	c.PerSource = limit(c.PerSource, math.MaxInt)
	c.Backlog = limit(c.Backlog, 1024)
	c.QueueBytes = limit(c.QueueBytes, 256<<10)
	c.TotalBytes = limit(c.TotalBytes, 16<<20)
	if c.MaxSize <= 0 || c.MaxSize > maxSize {
		c.MaxSize = maxSize
	}
	return c
}

// SessionListener is the net.Listener that Sessions returns. Its methods are safe
// for concurrent use.
//
// It owns one goroutine, which reads the socket, and at most one timer. Both end
// with the socket. Of a group (see Server.Sockets) each socket has one.
type SessionListener struct {
	config  SessionConfig
	sockets []*sessionSocket
	addr    net.Addr
	local   addr.Endpoint // the same
	sends   sends
	readers sync.WaitGroup
	gone    chan struct{}   // closed when they have ended and the sockets are closed
	stop    context.Context // interrupts their pauses
	cancel  context.CancelFunc

	mu         sync.Mutex // of all that follows and of the sessions; held for moments
	acceptable sync.Cond
	acceptBy   deadline
	table      map[sessionKey]*session
	sources    map[netip.Addr]int // sessions of each, if there is a limit
	byIdle     list.List          // the sessions, the longest idle first
	pending    list.List          // those that wait for Accept
	queued     int                // bytes of memory that all queues have
	sweeper    *time.Timer
	sweeping   bool  // it will fire
	closed     bool  // by Close
	shut       bool  // the socket is
	err        error // why reading ended
	counts     SessionStats
}

// Sessions makes a stream of connections out of a UDP socket: the datagrams of one
// sender are one net.Conn, so that a tcpserver.Server, or whatever else accepts
// connections, can serve them. On a socket bound to every address of the host a
// sender that asks two of them is two, where the system tells them apart.
//
// Each Write sends one datagram, each Read returns one, in the order of arrival. If
// the buffer is too short Read takes nothing and returns a
// *sockets.ShortBufferError. An empty datagram is a Read of no bytes; there is no
// io.EOF, since nobody can end his sending. A sockets.Conn over a session, that of a
// tcpserver.Server too, has sockets.Packets as its framing unless another is named.
//
// A Write of more than a datagram can carry, 65,507 bytes over IPv4, sends nothing and
// returns an error that matches sockets.ErrTooLong. So io.Copy is not for sessions: out
// of one it leaves out empty datagrams, and stops with the short buffer's error at one
// of more than 32 KiB; into one it makes a datagram of whatever it reads at a time. A
// sockets.Conn over a session copies each datagram whole, as does sockets.Relay.
//
// A session begins with a datagram of an unknown sender, and ends when its holder
// closes it (then Read and Write return net.ErrClosed, and what was unread is
// dropped), when no datagram went either way for SessionConfig.Idle
// (sockets.ErrIdle), or when it must make room (sockets.ErrEvicted). The same sender
// may come back: that is another session, which the old one does not touch.
// Senders are not verified: with a forged address anybody can begin one, and have
// replies sent there.
//
// Write waits at most 1 s for room in the socket's buffer, whatever the deadline.
//
// pc may be the group that a Server's ListenPacket opens where Sockets is above 1. All
// its sockets are read, and the limits cover them together.
//
// The listener is a *SessionListener; its Stats tell what was dropped. Its Close
// ends what was not accepted and takes no new senders. Accepted sessions go on until
// they end, and the last of them closes pc, which belongs to the listener from now
// on, also when Sessions fails: if pc is closed already.
//
// Errors of reading that pass are counted and survived. When pc becomes useless,
// because it is no socket any more or somebody else has closed it, Accept and every
// Read return why, once what is there was taken.
func Sessions(pc net.PacketConn, c SessionConfig) (net.Listener, error) {
	c = c.withDefaults()
	l := &SessionListener{
		config: c, addr: pc.LocalAddr(), gone: make(chan struct{}),
		table: map[sessionKey]*session{}, sources: map[netip.Addr]int{},
	}
	l.local, _ = addr.From(l.addr)
	l.acceptable.L = &l.mu
	l.stop, l.cancel = context.WithCancel(context.Background())
	if !l.open(pc) {
		l.cancel()
		_ = pc.Close()
		return nil, l.failure("listen", net.ErrClosed)
	}
	for _, s := range l.sockets {
		l.readers.Go(func() { l.read(s) })
	}
	return l, nil
}

// Accept waits for a sender that has no session. It returns an error that matches
// net.ErrClosed after Close, one that matches os.ErrDeadlineExceeded after the
// deadline, and why reading ended if it did.
func (l *SessionListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, l.failure("accept", net.ErrClosed)
		case l.acceptBy.expired():
			return nil, l.failure("accept", operr.ErrTimeout)
		case l.pending.Len() > 0:
			return l.acceptLocked(), nil
		case l.err != nil:
			return nil, l.failure("accept", l.err)
		}
		l.acceptable.Wait()
	}
}

func (l *SessionListener) acceptLocked() *session {
	s := l.pending.Remove(l.pending.Front()).(*session)
	s.waiting = nil
	return s
}

// SetDeadline ends Accept with a timeout from t on; the zero time means never.
func (l *SessionListener) SetDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.failure("set deadline", net.ErrClosed)
	}
	l.acceptBy.set(t, &l.acceptable)
	return nil
}

// Addr is the address of the socket.
func (l *SessionListener) Addr() net.Addr { return l.addr }

// Close ends Accept and the sessions that wait for it. The others go on until each
// is closed or idle; the socket closes with the last, or here if there is none, and
// whoever closes it waits until nothing reads it any more. A second Close does
// nothing.
func (l *SessionListener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	l.acceptBy.stop()
	l.acceptable.Broadcast()
	for l.pending.Len() > 0 {
		l.endLocked(l.pending.Front().Value.(*session), net.ErrClosed)
	}
	return l.unlock()
}

// unlock gives the lock back, and closes the socket if nobody needs it any more. It
// returns when that is closed, too if somebody else is about it, as the timer is that
// has ended the last session: whoever has closed all there is may use its port again.
func (l *SessionListener) unlock() error {
	shut := l.shut
	last := l.closed && !shut && len(l.table) == 0
	if last {
		l.shut = true
		if l.sweeper != nil {
			l.sweeper.Stop()
		}
	}
	l.mu.Unlock()
	if shut {
		<-l.gone
	}
	if !last {
		return nil
	}
	defer close(l.gone)
	l.cancel()
	err := l.closeSockets()
	l.readers.Wait()
	if err != nil {
		return l.failure("close", err)
	}
	return nil
}

func (l *SessionListener) failure(op string, err error) error {
	return &operr.Error{Op: op, Local: l.local, Err: err}
}
