package sockets

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"syscall"
	"time"

	"example.com/sockets/internal/errno"
	"example.com/sockets/internal/guard"
	"example.com/sockets/internal/operr"
)

const (
	// settle is how long what was passed on before a reset may take to reach
	// the other side, which is then reset too.
	settle = 2 * time.Second
	// told is how long the other direction may take to say that it was told
	// of a reset which this one took for an EOF.
	told = 100 * time.Millisecond
)

// Relay passes on what a receives to b, and what b receives to a, until both have
// ended their sending. What was read ahead comes first. An EOF of one side becomes a
// CloseWrite of the other, while the other direction goes on; where a side has no
// half-close it ends both. Relay closes neither Conn: whoever opened them does. It
// is the reader of both until it returns.
//
// Where one side fails, the other is told: a reset, or whatever else ends a side's
// sending before its EOF, resets the other side once that has what came before, for
// 2 s at most. When ctx ends both are reset at once. The error says in which direction
// it happened first, and what.
//
// A relay is idle when no byte moves in either direction, whatever was read before:
// then Timeouts.Idle of either side applies, and a stop ends it with ErrDraining
// after 100 ms without a byte. Both sides get a FIN, not a reset.
//
// Between two Conns with Packets each message stays one, and one that the other side
// can't carry ends the relay; as nothing ends there, ctx must, or a limit. Between one
// of these and a stream the bytes are kept and the boundaries are not: a datagram is
// what was read at a time, at most 32 KiB.
//
// Between two TCP or unix sockets on Linux the bytes stay in the kernel (splice, as
// ReadFrom has it). A pipe is held only while bytes move: an idle relay costs its two
// sockets, no buffer, and one goroutine beside the caller's.
func Relay(ctx context.Context, a, b *Conn) error {
	var r relay
	there := &direction{relay: &r, from: a, to: b, ended: make(chan struct{})}
	back := &direction{relay: &r, from: b, to: a, ended: make(chan struct{})}
	there.back, back.back = back, there
	a.guard.BeginRelay()
	b.guard.BeginRelay()
	var cut, other sync.WaitGroup
	cut.Add(1)
	stop := context.AfterFunc(ctx, func() {
		defer cut.Done()
		a.guard.Reset(operr.OfContext(ctx))
		b.guard.Reset(operr.OfContext(ctx))
	})
	other.Go(back.run)
	there.run()
	other.Wait()
	if stop() {
		return r.err
	}
	cut.Wait()
	if errors.Is(r.err, context.Cause(ctx)) {
		return r.err // ctx is that of one side, and this is why it has ended
	}
	return fmt.Errorf("relay between %s and %s: %w", name(a), name(b), operr.OfContext(ctx))
}

// relay is what both directions share.
type relay struct {
	mu  sync.Mutex
	err error // the first
}

// fail keeps the first error. A write that finds the connection gone says less than
// the read that knows why.
func (r *relay) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil || errno.Is(r.err, syscall.EPIPE) && errno.Is(err, syscall.ECONNRESET) {
		r.err = err
	}
}

// direction is one half of a relay.
type direction struct {
	relay    *relay
	from, to *Conn
	back     *direction
	ended    chan struct{}
	err      error // once it has ended: why it did before its EOF
}

func (d *direction) run() {
	d.err = d.pass()
	close(d.ended)
	if d.err == nil {
		d.watch()
	}
}

// pass passes everything on, and the end of it.
func (d *direction) pass() error {
	_, rerr, werr := d.from.moveTo(d.to, math.MaxInt64)
	if rerr == nil && werr == nil {
		rerr = d.hiddenReset()
	}
	var why guard.Reason
	switch {
	case werr != nil:
		return d.refused(werr)
	case rerr == nil:
		return d.endOfInput()
	case errors.As(rerr, &why) && d.from.guard.Ended() == nil:
		return d.endOfIdle(why, rerr)
	}
	err := d.fail(rerr)
	d.to.guard.Settle(settle)
	d.to.guard.Reset(rerr)
	return err
}

// hiddenReset is the reset that an EOF hides. The system tells of one once, and may
// have told the other direction, which was writing.
func (d *direction) hiddenReset() error {
	if !d.from.guard.Severed() {
		return nil
	}
	t := time.NewTimer(told)
	defer t.Stop()
	select {
	case <-d.back.ended:
		// A splice that has moved something swallows what it was told, and
		// the next one gets EPIPE: as after an EOF and then a reset, but so
		// close together that is the rarer case, and to take the one for the
		// other is safer this way around.
		if errno.In(d.back.err, syscall.ECONNRESET, syscall.EPIPE) {
			return d.from.fail("read", syscall.ECONNRESET)
		}
	case <-t.C: // it was not writing: an EOF, and then a reset
	}
	return nil
}

// refused is the end of a direction whose other end takes no more. If that was reset
// the way back finds out, after what had come before.
func (d *direction) refused(werr error) error {
	err := d.fail(werr)
	if !errno.In(werr, syscall.EPIPE, syscall.ECONNRESET) {
		d.to.guard.Reset(werr)
	}
	return err
}

func (d *direction) endOfInput() error {
	err := d.to.CloseWrite()
	if errors.Is(err, errors.ErrUnsupported) {
		d.to.guard.EndIdle(guard.ErrOneWay)
		return nil
	}
	return d.fail(err)
}

// endOfIdle ends both directions, as nothing moves in either.
func (d *direction) endOfIdle(why guard.Reason, rerr error) error {
	if why == guard.ErrOneWay {
		return d.endOfInput()
	}
	err := d.fail(rerr)
	_ = d.to.CloseWrite()
	d.to.guard.EndIdle(why)
	return err
}

// watch goes on to look after a side that has ended its sending, for as long as the
// way back to it is open: no read does.
func (d *direction) watch() {
	why := d.from.guard.Watch(d.back.ended)
	if why == nil || why == guard.ErrOneWay {
		return
	}
	_ = d.fail(d.from.fail("watch", why))
	if reason, ok := why.(guard.Reason); ok && d.from.guard.Ended() == nil {
		d.to.guard.EndIdle(reason)
	} else {
		d.to.guard.Reset(why)
	}
}

// fail reports an error, with its direction.
func (d *direction) fail(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("relay from %s to %s: %w", name(d.from), name(d.to), err)
	d.relay.fail(err)
	return err
}

// name is what a person knows a connection by.
func name(c *Conn) string {
	if e := c.Remote(); e.IsValid() {
		return e.String()
	}
	return fmt.Sprintf("#%d", c.ID())
}
