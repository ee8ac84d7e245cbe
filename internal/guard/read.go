package guard

import (
	"errors"
	"io"
	"net"
	"time"

	"example.com/sockets/internal/operr"
	"example.com/sockets/internal/sockopt"
)

// Wait is what a read waits for.
type Wait uint8

// The waits.
const (
	Own       Wait = iota // whatever a handler reads by itself
	Next                  // the first byte of a message: nothing is under way
	InMessage             // the rest of a message
	Reply                 // the first byte of a reply: the peer is busy, not idle
	Trying                // like Own, but only for a moment: are there more bytes?
)

// ErrNothing is what a read that was Trying found.
var ErrNothing = errors.New("nothing has come yet")

// Read reads once. It returns what ended the wait if no byte came: an error of
// the transport, a timeout of the user's, or a Reason, which is final.
func (g *Guard) Read(p []byte, w Wait) (int, error) {
	return g.Receive(w, func(conn net.Conn) (int, error) { return conn.Read(p) })
}

// Receive is Read by other means: read moves bytes out of the connection, waits
// for them as a Read does, and tells deadlines apart from its other errors.
func (g *Guard) Receive(w Wait, read func(net.Conn) (int, error)) (int, error) {
	since, looked := g.now(), false
	if h := g.limits.Hooks; w == Next && h != nil && h.Idle != nil {
		h.Idle(g.Owner)
	}
	for {
		conn, err := g.beginRead(w, since, &looked)
		if err == ErrEvicted && g.Ended() == nil {
			g.evict()
		}
		if err != nil {
			return 0, err
		}
		n, err := read(conn)
		if n > 0 || !isDeadline(err) || !g.fired(&g.armedRead, &g.readMoved) {
			return n, g.endRead(n, err, w)
		}
		// A deadline of ours fired. Whose, and whether it still holds, is
		// for beginRead to say.
	}
}

// beginRead arms the deadline of a read that began at since, or returns why it
// must not wait any longer.
func (g *Guard) beginRead(w Wait, since time.Duration, looked *bool) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = false
	if err := g.readableLocked(w); err != nil {
		return nil, err
	}
	if w == Trying && g.kind == foreign {
		w = Own // it may not survive a deadline
	}
	if w == Next {
		g.parks = true
	}
	if g.idle == never {
		g.idle = since
	}
	if g.readMoved {
		*looked = false // a deadline of the user's may have cut the look short
	}
	now := g.now()
	at, why := g.readLimit(w, since)
	if at <= now {
		// An expired deadline hides bytes that wait, and bytes that are
		// here win over a stop and over a newcomer.
		yields := why == ErrEvicted || g.drainAt != never && why == g.why.drain
		if !yields || *looked || !g.bytesMayWaitLocked(&at, now) {
			return nil, g.readEndsLocked(why)
		}
		*looked = true
	}
	g.armReadLocked(at, now)
	g.wait, g.since, g.waiting = w, since, true
	return g.conn, nil
}

func (g *Guard) readableLocked(w Wait) error {
	switch {
	case g.why.ended != nil:
		return g.why.ended
	case g.why.readEnd != nil:
		return g.why.readEnd
	case w != Own && w != Trying:
		return g.why.broken
	}
	return nil
}

// readLimit is when a read that began at since ends unfinished, and why.
func (g *Guard) readLimit(w Wait, since time.Duration) (at time.Duration, why error) {
	at, why = g.userRead, operr.ErrTimeout
	sooner := func(t time.Duration, reason error) {
		if t < at {
			at, why = t, reason
		}
	}
	sooner(g.callAt, g.callWhyLocked())
	switch {
	case w == InMessage && g.limits.Message > 0:
		sooner(g.began+g.limits.Message, ErrMessage)
	case w == Trying:
		sooner(since+look, ErrNothing)
	case w == Next:
		drainAt := g.drainAt
		if drainAt != never && g.read.Load() > 0 {
			drainAt = min(drainAt, since) // what it gave was for the first message
		}
		sooner(drainAt, g.why.drain)
		g.soonerIdle(sooner, g.idle)
	case w == Own && !g.parks: // otherwise it is busy between two idle points
		g.soonerQuiet(sooner)
	}
	if g.limits.MinRate > 0 && (w == InMessage || w == Own && g.parks) {
		sooner(since+g.rates.read.left(g.read.Load(), g.limits.MinRate), ErrMinRate)
	}
	return at, why
}

// soonerQuiet is for who does not tell idle from busy: idle is when no byte moves.
func (g *Guard) soonerQuiet(sooner func(time.Duration, error)) {
	moved := g.movedLocked()
	if g.drainAt != never {
		sooner(max(g.drainAt, moved+quiet), g.why.drain)
	}
	g.soonerIdle(sooner, max(g.idle, moved))
}

func (g *Guard) soonerIdle(sooner func(time.Duration, error), since time.Duration) {
	if g.evicting {
		sooner(expired, ErrEvicted)
	}
	if g.limits.Idle > 0 {
		sooner(since+g.limits.Idle, ErrIdle)
	}
}

// bytesMayWaitLocked reports whether bytes have, or may have, arrived, and until
// when to try to read them.
func (g *Guard) bytesMayWaitLocked(at *time.Duration, now time.Duration) bool {
	n, ok := sockopt.Unread(g.raw)
	if ok && n == 0 && !g.layered {
		return false
	}
	*at = now + look // TLS, or a wrapper, may hold bytes of its own
	if n > 0 {
		*at = now + quiet
	}
	return true
}

// readEndsLocked makes a Reason final; a timeout of the user's is not.
func (g *Guard) readEndsLocked(why error) error {
	if _, final := why.(Reason); final {
		g.ownReasonsLocked().readEnd = why
	}
	return why
}

func (g *Guard) endRead(n int, err error, w Wait) error {
	var now time.Duration
	first := false
	if n > 0 {
		first = g.read.Load() == 0
		now = g.note(&g.read, n)
	}
	g.mu.Lock()
	g.waiting = false
	if n > 0 {
		g.idle, g.evicting = never, false
	}
	if n > 0 && (w == Next || w == Reply) {
		g.beginLocked(now, g.read.Load()-int64(n))
	} else if g.limits.MinRate > 0 {
		g.rates.read.waited += g.now() - g.since
	}
	if errors.Is(err, io.EOF) {
		g.eof = true
	}
	g.mu.Unlock()
	if h := g.limits.Hooks; first && h != nil && h.FirstByte != nil {
		h.FirstByte(g.Owner)
	}
	if n > 0 && isDeadline(err) {
		return nil // it may be an early one; the next read will tell
	}
	return g.ofTransport(err)
}

// Begin starts the clock of a message whose first bytes were read before.
func (g *Guard) Begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.parks = true
	g.beginLocked(g.now(), g.read.Load())
}

func (g *Guard) beginLocked(now time.Duration, read int64) {
	g.began = now
	if g.rates != nil {
		g.rates.read = rate{bytes: read}
	}
}
