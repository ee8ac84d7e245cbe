package tcpserver

import (
	"time"

	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/sockopt"
)

// Limits bound what a Server takes on. In each, 0 is the stated default and a
// negative value means no limit.
type Limits struct {
	// Conns is how many handlers run at once. The default is half of the
	// process's limit on open files (RLIMIT_NOFILE) less 64, at least 16 and
	// at most 65,536; 16,384 where there is no such limit.
	//
	// At the limit at most one accepted connection per listener waits for
	// its turn, and the system queues the rest.
	Conns int
	// Overload says what happens to a connection beyond Conns.
	Overload Overload
	// Refusal is sent to a connection that is rejected, as it is, before it
	// is closed; nil sends nothing.
	Refusal []byte
	// PerSource is how many connections one source may have: an IPv4
	// address, or the /64 network of an IPv6 address, which is what one
	// customer is given. More are rejected, whatever Overload says. With
	// Prepare it is the RemoteAddr of what that returns that counts. The
	// default is no limit.
	PerSource int
	// Handshakes is how many connections may be in Prepare or TLS, or behind
	// it without a turn yet, so that strangers who never finish cannot use up
	// Conns. Beyond it connections wait, or are closed if Overload is Reject.
	// The default is a quarter of Conns.
	Handshakes int
}

// Overload is a policy for connections beyond the limit.
type Overload uint8

// The policies.
const (
	// EvictIdle closes the connection that has been idle the longest in
	// favour of the new one, if it has been so for at least a second. Its
	// handler, and the cause of its context, is sockets.ErrEvicted. As long
	// as none has been idle that long the new one waits, as with Block.
	EvictIdle Overload = iota
	// Block lets the new connection wait until another ends.
	Block
	// Reject sends Refusal to the new connection and closes it, so that the
	// client reads Refusal and then EOF, also if it wrote first.
	Reject
)

const (
	leastConns   = 16
	mostConns    = 65536
	unknownConns = 16384 // where no limit on open files is known
	otherFiles   = 64    // for the rest of the process
)

func (l Limits) conns() int {
	if l.Conns != 0 {
		return l.Conns
	}
	files, ok := sockopt.OpenFiles()
	if !ok {
		return unknownConns
	}
	return max(leastConns, int(min(files/2, mostConns+otherFiles))-otherFiles)
}

func (l Limits) handshakes(conns int) int {
	switch {
	case l.Handshakes != 0:
		return l.Handshakes
	case conns < 0:
		return -1
	}
	return max(conns/4, 1)
}

// Timeouts bound what a Server waits for. In each, 0 is the stated default and a
// negative value means none.
type Timeouts struct {
	// Handshake is how long Prepare and TLS may take together. Then the
	// connection is closed. The default is 10 s.
	Handshake time.Duration
	// Idle is how long a connection may wait for the first byte of a
	// message; its handler then gets sockets.ErrIdle. Where a handler uses
	// neither Await nor messages, it is how long a Read may be blocked while
	// no byte moves in either direction. The default is none.
	Idle time.Duration
	// Message is how long a message may take from its first byte to its
	// last; the handler then gets sockets.ErrMessage. Read alone knows no
	// messages and has no such limit. The default is 1 minute.
	Message time.Duration
	// Write is how long the peer may take no byte of a write; the handler
	// then gets sockets.ErrWrite, and the connection is closed. A large write
	// goes on as long as it makes progress, so that the end may be noticed
	// after up to twice the time. The default is 30 s.
	Write time.Duration
	// Lifetime is how long a connection may live. At some moment in its last
	// fifth, at random so that connections of one moment do not end in one
	// moment, it is told as by a stop: Draining closes, and if it is idle, or
	// as soon as it is, its handler gets sockets.ErrLifetime. At its end it is
	// closed. The default is none.
	Lifetime time.Duration
	// MinRate is how many bytes a second the peer must send of a message that
	// has begun, or of what a handler reads between two calls of Await, and
	// take of a write, after 5 s for free. The clock runs only while the peer
	// is waited for; a slower one is sockets.ErrMinRate. The default is none.
	MinRate int
	// Linger is how long a connection whose handler has returned may take to
	// read the last reply. The server ends its sending and reads on, as a
	// plain close would destroy the reply if the peer still sends. It does so
	// only if the last write is younger than that and input waits unread, or
	// the write has not been acknowledged. When the process is out of
	// descriptors such connections are given up. The default is 2 s.
	Linger time.Duration
	// Grace is how long a stop waits for what is under way, before it closes
	// connections by force; with none it does so at once. The default is 5 s.
	Grace time.Duration
}

func (t Timeouts) limits() guard.Limits {
	return guard.Limits{
		Idle:    or(t.Idle, 0),
		Message: or(t.Message, time.Minute),
		Write:   or(t.Write, 30*time.Second),
		MinRate: max(t.MinRate, 0),
	}
}

func (t Timeouts) handshake() time.Duration { return or(t.Handshake, 10*time.Second) }

func (t Timeouts) linger() time.Duration { return or(t.Linger, 2*time.Second) }

func (t Timeouts) grace() time.Duration { return or(t.Grace, 5*time.Second) }

// or is d, the default if it is 0, and 0, which means none from here on, if it is
// negative.
func or(d, standard time.Duration) time.Duration {
	if d == 0 {
		return standard
	}
	return max(d, 0)
}
