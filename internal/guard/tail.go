package guard

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// tail is what a deadline has cut off a TLS record. crypto/tls is at its end when a
// record was not written whole. So what is below it keeps the rest and says that it
// went out; the guard finds it, tells its user of the deadline, and lets no other
// byte out before it.
//
// crypto/tls writes one record at a time, so only the guard, which writes the tail
// before it calls crypto/tls, can meet another writer: a read that must answer. Where
// nothing was ever cut, all of this costs a write two atomic operations.
type tail struct {
	written atomic.Int64 // bytes that the transport took
	held    atomic.Int64 // bytes of the tail
	own     atomic.Bool  // what crypto/tls writes is the guard's
	keeps   atomic.Bool  // otherwise a deadline is the error that it is
	keeper  *Guard       // once it keeps
	latest  atomic.Pointer[time.Time]

	turn chan struct{} // of who writes the tail; made with the first
	rest []byte
}

// tailMost bounds what is kept: a record of the guard's, in as many as crypto/tls
// makes of it, and answers to a peer that asks for them and reads none.
const tailMost = 2 * record

// Below returns what to put TLS on, so that a write which timed out can go on.
func Below(nc net.Conn) net.Conn { return &probe{Conn: nc} }

// Write writes a record, behind the tail if there is one. One that is not the guard's
// crypto/tls says from inside a read: its part of a key update, or an alert.
func (p *probe) Write(b []byte) (int, error) {
	if p.keeps.Load() && !p.own.Load() {
		defer p.keeper.boundAnswer()()
	}
	if p.held.Load() > 0 {
		p.turn <- struct{}{}
		defer func() { <-p.turn }()
		if err := p.writeRest(); err != nil {
			return p.keep(b, 0, err)
		}
	}
	n, err := p.Conn.Write(b)
	p.written.Add(int64(n))
	if err != nil {
		return p.keep(b, n, err)
	}
	return n, nil
}

// behind is how many bytes are in the tail.
func (p *probe) behind() int64 {
	if p == nil {
		return 0
	}
	return p.held.Load()
}

// keep makes a tail of what a write of b that ended with err left, if that may be.
func (p *probe) keep(b []byte, n int, err error) (int, error) {
	if !isDeadline(err) || !p.keeps.Load() || len(p.rest)+len(b)-n > tailMost {
		return n, err
	}
	if p.turn == nil {
		p.turn = make(chan struct{}, 1)
	}
	p.rest = append(p.rest, b[n:]...)
	p.held.Store(int64(len(p.rest))) // from now on the turn guards the rest
	return len(b), nil
}

// flush writes the tail.
func (p *probe) flush() error {
	p.turn <- struct{}{}
	defer func() { <-p.turn }()
	return p.writeRest()
}

func (p *probe) writeRest() error {
	if len(p.rest) == 0 {
		return nil
	}
	n, err := p.Conn.Write(p.rest)
	p.written.Add(int64(n))
	if p.rest = p.rest[n:]; len(p.rest) == 0 {
		p.rest = nil
	} else if err == nil {
		err = io.ErrShortWrite
	}
	p.held.Store(int64(len(p.rest)))
	return err
}

// SetWriteDeadline sets t, or the end of all writing if that comes first: crypto/tls
// takes its own time for a close_notify.
func (p *probe) SetWriteDeadline(t time.Time) error {
	if latest := p.latest.Load(); latest != nil && (t.IsZero() || t.After(*latest)) {
		t = *latest
	}
	return p.Conn.SetWriteDeadline(t)
}

// put writes the next piece of p: to TLS one record, but nothing as long as there is
// a tail. took says that the transport took a byte, of whichever.
func (g *Guard) put(conn net.Conn, p []byte) (n int, took bool, err error) {
	if g.kind == sealed {
		p = p[:min(len(p), record)]
	}
	b := g.below
	if b == nil {
		n, err = conn.Write(p)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return n, n > 0, err
	}
	before := b.written.Load()
	if b.behind() > 0 {
		err = b.flush()
	} else if n, err = b.writeOwn(conn, p); err == nil && b.behind() > 0 {
		err = os.ErrDeadlineExceeded
	}
	return n, b.written.Load() > before, err
}

func (p *probe) writeOwn(conn net.Conn, b []byte) (int, error) {
	p.own.Store(true)
	defer p.own.Store(false)
	return conn.Write(b)
}

// boundAnswer ends the connection if an answer takes longer than a write may: the peer
// that asked for it does not read, and the read in which it is written would wait for
// ever, whatever else would end that. It returns what is called when the answer is out.
func (g *Guard) boundAnswer() (out func() bool) {
	if g.limits.Write <= 0 {
		return func() bool { return true }
	}
	return time.AfterFunc(g.limits.Write, func() { g.End(ErrWrite) }).Stop
}

// lastWords says that what is written from now on is the end: none of it is kept, and
// it must be out within limit, or within behind if there is a tail.
func (g *Guard) lastWords(limit, behind time.Duration) {
	g.mu.Lock()
	b := g.below
	g.mu.Unlock()
	if b == nil {
		return
	}
	b.keeps.Store(false)
	if b.behind() > 0 {
		limit = behind
	}
	if limit < never {
		at := time.Now().Add(limit)
		b.latest.Store(&at)
	}
}
