package udpserver_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// budgeted is a server with a budget whose handler does what the test says.
type budgeted struct {
	*town
	do   func(d *udpserver.Datagram) error
	told atomic.Uint64 // replies that Trace was told of
}

func newBudgeted(t *testing.T, l udpserver.Limits) *budgeted {
	b := new(budgeted)
	s := &udpserver.Server{Limits: l, Handler: func(_ context.Context, d *udpserver.Datagram) error { return b.do(d) }}
	s.Trace = &udpserver.Trace{ReplyFailed: func(_ addr.Endpoint, err error) {
		s.Stats() // no lock is held
		if errors.Is(err, udpserver.ErrBudget) {
			b.told.Add(1)
		}
	}}
	b.town = newTown(t, s)
	return b
}

// ask sends a datagram of so many bytes, and lets the handler do something with it.
func (b *budgeted) ask(c net.Conn, size int, do func(d *udpserver.Datagram) error) {
	b.t.Helper()
	b.do = do
	if b.handled(c, 1, size) != 1 {
		b.t.Error("the datagram was not handled")
	}
}

// reply replies to a datagram of so many bytes by others of such sizes, and fails
// the test unless the last of them, and only that, is beyond the budget.
func (b *budgeted) reply(c net.Conn, size int, replies ...int) {
	b.t.Helper()
	b.ask(c, size, func(d *udpserver.Datagram) error {
		var err error
		for i, n := range replies {
			if err = d.Reply(make([]byte, n)); errors.Is(err, udpserver.ErrBudget) != (i == len(replies)-1) {
				b.t.Errorf("reply %d to %d bytes, of %v: %v", i+1, size, replies, err)
			}
		}
		return err
	})
}

func TestReplyBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgeted(t, udpserver.Limits{ReplyFactor: 3})
		c, other := b.client("10.0.0.1"), b.client("10.0.0.2")
		b.reply(c, 10, 30, 0, 1)
		b.reply(c, 10, 31)                     // refused, and takes nothing
		b.reply(c, 0, 30, 0, 1)                // so that this is left
		b.reply(b.client("10.0.0.1"), 1, 2, 2) // the port does not matter
		b.reply(other, 1, 3, 1)                // nor do others
		b.reply(c, 5, 16, 1)                   // 1 was left
		for range 2 {
			b.reply(other, 50_000, 65_507, 65_507, 50_000*3-2*65_507, 1)
		}
		for range 4 {
			b.ask(other, 50_000, func(*udpserver.Datagram) error { return nil })
		}
		b.reply(other, 0, 65_507, 65_507, 65_507, 3*(65_535-65_507), 1) // more is not kept
		b.stop()
		st := ledger(t, b.s)
		if st.Unsent.Budget != b.told.Load() || st.Failed != 0 || st.Unsent.Total() != st.Unsent.Budget {
			t.Errorf("traced %d; %+v", b.told.Load(), st)
		}
	})
}

// After 1,000 replies without a validation there are none for a second.
func TestReplyPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgeted(t, udpserver.Limits{ReplyFactor: 3})
		c := b.client("10.0.0.1")
		for range 2 {
			for range 1000 {
				b.ask(c, 1, func(d *udpserver.Datagram) error {
					if err := d.Reply(d.Data); err != nil {
						t.Error(err)
					}
					return nil
				})
			}
			b.reply(c, 1, 1)
			time.Sleep(time.Second - 1)
			b.reply(c, 1, 1)
			time.Sleep(time.Nanosecond)
		}
	})
}

// Validate lifts the budget for one source, for an hour.
func TestValidate(t *testing.T) {
	free := func(d *udpserver.Datagram) error {
		for range 2000 {
			if err := d.Reply(make([]byte, 1000)); err != nil {
				return err
			}
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBudgeted(t, udpserver.Limits{ReplyFactor: 3})
		c := b.client("2001:db8::1")
		b.reply(c, 1, 4)
		var kept, clone *udpserver.Datagram
		b.ask(c, 1, func(d *udpserver.Datagram) error {
			kept, clone = d, d.Clone()
			return nil
		})
		kept.Validate() // too late
		b.reply(c, 1, 4, 4, 2)
		clone.Validate()
		if err := free(clone); err != nil {
			t.Errorf("a clone: %v", err)
		}
		b.ask(b.client("2001:db8::2"), 1, free) // of the same /64
		b.reply(b.client("2001:db8:0:1::1"), 1, 4)
		time.Sleep(time.Hour - 1)
		b.ask(c, 1, func(d *udpserver.Datagram) error {
			if err := free(d); err != nil {
				t.Errorf("just before an hour is over: %v", err)
			}
			return nil
		})
		time.Sleep(time.Nanosecond)
		b.reply(c, 0, 1000)
		if err := clone.Reply(make([]byte, 1000)); !errors.Is(err, udpserver.ErrBudget) {
			t.Errorf("a clone, after an hour: %v", err)
		}
		b.ask(c, 1, func(d *udpserver.Datagram) error {
			d.Validate()
			return free(d)
		})
		b.stop()
		if st := ledger(t, b.s); st.Failed != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// SendTo is bounded towards the source of the datagram, whatever the port.
func TestSendToHasABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgeted(t, udpserver.Limits{ReplyFactor: 3})
		b.ask(b.client("10.0.0.1"), 1, func(d *udpserver.Datagram) error {
			neighbour, other := addr.MustParse(addr.UDP, "10.0.0.1:53"), addr.MustParse(addr.UDP, "10.0.0.2:53")
			for _, to := range []addr.Endpoint{d.From, neighbour} {
				if err := d.SendTo(to, make([]byte, 4)); !errors.Is(err, udpserver.ErrBudget) {
					t.Errorf("to %v: %v", to, err)
				}
			}
			if err := d.SendTo(other, make([]byte, 4)); err != nil {
				t.Errorf("to somebody else: %v", err)
			}
			return d.Reply(make([]byte, 3))
		})
	})
}

// Sources that share a place share its limits, and no validation: the place is
// whoever's was validated last.
func TestCollisionWidensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudgeted(t, udpserver.Limits{ReplyFactor: 3})
		a := netip.MustParseAddr("10.0.0.1")
		c, twin := b.client(a.String()), b.client(udpserver.Collide(b.s, a).String())
		validated := func(d *udpserver.Datagram) error {
			d.Validate()
			return d.Reply(make([]byte, 1000))
		}
		b.ask(c, 10, func(*udpserver.Datagram) error { return nil })
		b.reply(twin, 1, 30, 3, 1) // shared
		b.ask(c, 1, validated)
		b.reply(twin, 1, 6, 1) // of 2 bytes that both have sent
		b.ask(twin, 1, validated)
		b.reply(c, 1, 6, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		n := newTown(t, &udpserver.Server{Handler: echo, Limits: udpserver.Limits{Rate: 10, Burst: 5}})
		a := netip.MustParseAddr("10.0.0.1")
		c, twin := n.client(a.String()), n.client(udpserver.Collide(n.s, a).String())
		if x, y, z := n.handled(c, 3, 1), n.handled(twin, 3, 1), n.handled(c, 3, 1); x != 3 || y != 2 || z != 0 {
			t.Errorf("of a burst of 5, two sources got %d, %d and %d", x, y, z)
		}
	})
}
