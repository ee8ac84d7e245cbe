package simnet

import (
	"sync"
	"time"
)

// deadline is one of a socket's two. Whether it has passed is asked of the time
// itself; the timer only wakes whoever waits.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) expired() bool {
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// set is called with the network locked; cond's waiters look again, now and when
// t has come.
func (d *deadline) set(t time.Time, cond *sync.Cond) {
	d.at = t
	cond.Broadcast()
	switch {
	case t.IsZero() || d.expired():
		d.stop()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(t), func() { d.fire(cond) })
	default:
		d.timer.Reset(time.Until(t))
	}
}

// fire wakes the waiters, or goes to sleep again: a deadline that was moved while
// the timer fired, or one without a monotonic reading, may still be ahead.
func (d *deadline) fire(cond *sync.Cond) {
	cond.L.Lock()
	defer cond.L.Unlock()
	switch {
	case d.expired():
		cond.Broadcast()
	case !d.at.IsZero():
		d.timer.Reset(max(time.Until(d.at), time.Millisecond))
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
