package udpio

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// WriteWait bounds how long a Write waits while the socket's buffer is full. A
// datagram may be lost anywhere, so waiting longer than this for its first hop
// only holds up whoever sends it.
const WriteWait = time.Second

// patience is how long the writes of a socket wait. All have one deadline, which is
// set now and then: setting it for each datagram would cost as much as a tenth of
// sending one.
type patience struct {
	pc      net.PacketConn
	started time.Time
	wait    atomic.Int64 // at most this
	armed   atomic.Int64 // when the deadline was last set, since started
	writing atomic.Int32 // writes that may wait for it
}

func (p *patience) init(pc net.PacketConn) {
	p.pc, p.started = pc, time.Now()
	p.wait.Store(int64(WriteWait))
	p.armed.Store(-int64(WriteWait))
}

func (p *patience) now() int64 { return int64(time.Since(p.started)) }

// begin keeps the deadline between half of the wait and all of it ahead, and returns
// when that was. While another write is under way the deadline stays: if that is
// stuck, those that come later must not keep it so.
func (p *patience) begin() (now int64) {
	now = p.now()
	wait, last := p.wait.Load(), p.armed.Load()
	if p.writing.Add(1) == 1 && now-last >= wait/2 && p.armed.CompareAndSwap(last, now) {
		p.set(wait) // without a deadline it waits longer
	}
	return now
}

// end is the end of a write that has begun.
func (p *patience) end() { p.writing.Add(-1) }

// stale reports whether a write that began then failed at a deadline of long ago:
// after a silence, the worker that arms a new one may not have come to it yet, and
// among writes that overlap without end none does. Such a write has not waited, and is
// repeated, so that it waits no longer than it may in all.
func (p *patience) stale(err error, began int64) bool {
	wait := p.wait.Load()
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || p.now()-began > wait/4 {
		return false
	}
	p.armed.Store(p.now() - wait/4)
	p.set(wait * 3 / 4)
	return true
}

// hurry shortens the wait, also that of the writes that are under way.
func (p *patience) hurry() {
	const short = int64(WriteWait / 10)
	p.wait.Store(short)
	p.armed.Store(p.now())
	p.set(short)
}

// set sets the deadline, and again if hurry has set a shorter one in between.
func (p *patience) set(ahead int64) {
	for {
		_ = p.pc.SetWriteDeadline(time.Now().Add(time.Duration(ahead)))
		wait := p.wait.Load()
		if ahead <= wait {
			return
		}
		ahead = wait
	}
}
