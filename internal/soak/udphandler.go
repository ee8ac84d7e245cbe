package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// udpHandler answers questions, and does what a client should not be able to ask for.
// It keeps books of its own, which the server's must agree with.
type udpHandler struct {
	number  int
	later   sync.WaitGroup // who replies when the handler has returned
	began   atomic.Uint64  // handlers
	taken   atomic.Uint64  // datagrams for sending
	dropped atomic.Uint64  // datagrams, as Trace has it
	unsent  atomic.Uint64  // the same

	mu    sync.Mutex
	wrong []error
}

// own is what a server is made to send to itself.
const own = "this is my own"

func (h *udpHandler) trace() *udpserver.Trace {
	return &udpserver.Trace{
		ReplyFailed: func(addr.Endpoint, error) { h.unsent.Add(1) },
		Dropped:     func(addr.Endpoint, udpserver.Drop) { h.dropped.Add(1) },
	}
}

func (h *udpHandler) handle(ctx context.Context, d *udpserver.Datagram) error {
	h.began.Add(1)
	if len(d.Data) == 0 {
		h.sent("an empty reply", d.Reply(nil))
		return nil
	}
	verb, ok := parseQuestion(d.Data)
	if !ok || d.Truncated {
		h.check("from itself", string(d.Data) == own)
		return nil
	}
	switch verb {
	case "later":
		h.afterwards(d.Clone(), h.sent)
		return nil
	case "stale":
		h.afterwards(d, h.stale)
		return nil
	case "valid":
		d.Validate()
	case "self":
		h.sent("to itself", d.SendTo(d.To, []byte(own)))
	case "nobody":
		h.sent("to port 0", d.SendTo(addr.Of(addr.UDP, d.From.Addr(), 0), d.Data))
	case "longer":
		err := d.Reply(make([]byte, 65536))
		h.check("too long: "+fmt.Sprint(err), !errors.Is(err, sockets.ErrTooLong))
	default:
		if err := misbehave(ctx, verb); err != nil {
			return err
		}
	}
	h.sent(verb, d.Reply(answerTo(h.number, d.To, d.Data)))
	return nil
}

// misbehave is what both kinds of handler have to survive.
func misbehave(ctx context.Context, verb string) error {
	switch verb {
	case "panic":
		panic("as the client wished")
	case "exit":
		runtime.Goexit()
	case "fail":
		return errors.New("as the client wished")
	case "slow":
		time.Sleep(10 * time.Millisecond)
	case "stuck":
		pause(ctx, time.Second)
	}
	return nil
}

// afterwards replies to d when the handler has returned, or should have.
func (h *udpHandler) afterwards(d *udpserver.Datagram, note func(what string, err error)) {
	reply := answerTo(h.number, d.To, d.Data)
	h.later.Go(func() {
		time.Sleep(rand.N(50 * time.Millisecond))
		note("later", d.Reply(reply))
	})
}

// sent notes what came of a datagram for sending.
func (h *udpHandler) sent(what string, err error) {
	if err == nil {
		h.taken.Add(1)
		return
	}
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, udpserver.ErrBudget) {
		h.note(fmt.Errorf("%s: %w", what, err))
	}
}

// stale notes the same where it was too late to send anything.
func (h *udpHandler) stale(what string, err error) {
	if !errors.Is(err, udpserver.ErrReturned) {
		h.sent(what, err)
	}
}

func (h *udpHandler) check(what string, wrong bool) {
	if wrong {
		h.note(errors.New(what))
	}
}

func (h *udpHandler) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, err)
}

// ledger says what does not add up in st where nothing runs, and what handlers have
// noted.
func (h *udpHandler) ledger(st udpserver.Stats) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	wrong := h.wrong
	h.wrong = nil
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"running", st.Running, 0},
		{"received", st.Received, st.Handled + st.Dropped.Total()},
		{"handled", st.Handled, h.began.Load()},
		{"dropped", st.Dropped.Total(), h.dropped.Load()},
		{"not sent", st.Unsent.Total(), h.unsent.Load()},
		{"sent or not", st.Sent + st.Unsent.Total() - st.Unsent.Budget, h.taken.Load()},
	} {
		if c.got != c.want {
			wrong = append(wrong, fmt.Errorf("%s: %d, not %d: %+v", c.what, c.got, c.want, st))
		}
	}
	return errors.Join(wrong...)
}

// converse is the handler of a session.
func (h *udpHandler) converse(ctx context.Context, c *sockets.Conn) error {
	for q, err := range c.Messages() {
		if err != nil {
			return err
		}
		reply := q
		if len(q) > 0 {
			verb, ok := parseQuestion(q)
			if !ok {
				continue
			}
			reply = answerTo(h.number, c.Local(), q)
			if err := misbehave(ctx, verb); err != nil {
				return err
			}
		}
		if err := c.WriteMessage(reply); err != nil {
			return err
		}
	}
	return nil
}
