package udpserver

import (
	"sync"
	"time"
)

// deadline is when a wait on a sync.Cond ends. Whether it has passed is asked of
// the time itself; the timer only wakes whoever waits. The lock of the Cond is held
// by who calls its methods.
type deadline struct {
	at    time.Time
	timer *time.Timer // made by the first deadline that is ahead
}

func (d *deadline) expired() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// set moves the deadline; those who wait on c look again, now and when t has come.
func (d *deadline) set(t time.Time, c *sync.Cond) {
	d.at = t
	c.Broadcast()
	switch {
	case t.IsZero() || d.expired():
		d.stop()
	case d.timer == nil:
		d.timer = time.AfterFunc(time.Until(t), func() { d.fire(c) })
	default:
		d.timer.Reset(time.Until(t))
	}
}

// fire wakes those who wait, or goes back to sleep: the deadline may have been moved
// while the timer fired, or have no monotonic reading.
func (d *deadline) fire(c *sync.Cond) {
	c.L.Lock()
	defer c.L.Unlock()
	switch {
	case d.expired():
		c.Broadcast()
	case !d.at.IsZero():
		d.timer.Reset(max(time.Until(d.at), time.Millisecond))
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
