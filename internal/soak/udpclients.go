package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/client"
)

// asker is one client of datagrams.
type asker struct {
	*rand.Rand
	target
	ctx     context.Context
	at      addr.Endpoint // the target
	tally   *tally
	doubles bool // the network does
	ports   *atomic.Uint32
}

var udpBehaviours = []struct {
	name string
	do   func(*asker) error
}{
	{"match", (*asker).match},
	{"match", (*asker).match},
	{"id", (*asker).byID},
	{"id", (*asker).byID},
	{"one by one", (*asker).oneByOne},
	{"one by one", (*asker).oneByOne},
	{"fail fast", (*asker).failFast},
	{"send and receive", (*asker).sendAndReceive},
	{"burst", (*asker).burst},
	{"burst", (*asker).burst},
	{"train", (*asker).train},
	{"train", (*asker).train},
	{"flood", (*asker).flood},
	{"empty", (*asker).empty},
	{"largest", (*asker).largest},
	{"garbage", (*asker).garbage},
	{"gone at once", (*asker).goneAtOnce},
	{"many ports", (*asker).manyPorts},
	{"odd wishes", (*asker).oddWishes},
	{"from port 0", (*asker).fromPortZero},
}

func udpAgent(doubles bool) agent {
	var ports atomic.Uint32
	return func(ctx context.Context, r *rand.Rand, to target, t *tally) {
		at, err := addr.Parse(addr.UDP, to.address)
		a := &asker{Rand: r, target: to, ctx: ctx, at: at, tally: t, doubles: doubles, ports: &ports}
		b := udpBehaviours[r.IntN(len(udpBehaviours))]
		if err == nil {
			err = b.do(a)
		}
		if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) && sockets.IsTimeout(err) {
			err = nil // of the soak
		}
		t.note(to, b.name, err)
	}
}

// verbs are for questions that are answered.
var verbs = []string{"ask", "ask", "ask", "ask", "slow", "later", "valid", "self"}

// question is one that is answered, with luck.
func (a *asker) question() []byte {
	verb, size := verbs[a.IntN(len(verbs))], a.IntN(200)
	switch a.IntN(40) {
	case 0:
		verb = "large"
	case 1:
		size = a.IntN(largest + 1)
	case 2, 3, 4:
		size = a.IntN(3000)
	}
	return newQuestion(a.Rand, verb, size)
}

// is checks that got answers q.
func (a *asker) is(q, got []byte) error {
	if want := answerTo(a.server, a.at, q); !bytes.Equal(got, want) {
		return fmt.Errorf("asked %s, got %s, not %s", short(q), short(got), short(want))
	}
	a.tally.answered(a.target)
	return nil
}

const (
	// callTime is what a call may take, tooLong what no call may.
	callTime = time.Second
	tooLong  = 10 * time.Second
)

// call asks q. An error is one that no server and no network may cause; and without
// one reply may be nil.
func (a *asker) call(u *client.UDP, q []byte) (reply []byte, err error) {
	ctx, cancel := context.WithTimeout(a.ctx, callTime)
	defer cancel()
	begin := time.Now()
	reply, err = u.Call(ctx, q)
	switch took := time.Since(begin); {
	case took > tooLong:
		return nil, fmt.Errorf("a call of %v took %v: %v", callTime, took, err)
	case err == nil, sockets.IsTimeout(err), errors.Is(err, client.ErrPortUnreachable):
		return reply, nil
	}
	return nil, err
}

// dial makes a client, and done closes it and looks at its books.
func (a *asker) dial(d client.Dialer) (u *client.UDP, done func() error, err error) {
	d.Retry.First, d.DialContext = 50*time.Millisecond, a.socket
	u, err = d.DialUDP(a.ctx, a.address)
	return u, func() error {
		err := u.Close()
		if s := u.Stats(); s.InFlight != 0 || s.Received != s.Answers+s.Kept+s.Late+s.Unmatched+s.Overflowed {
			return fmt.Errorf("the client's books: %+v", s)
		}
		return err
	}, err
}

// many has calls in flight on one socket.
func (a *asker) many(u *client.UDP) error {
	var all sync.WaitGroup
	wrong := make(chan error, 16)
	for range 1 + a.IntN(cap(wrong)) {
		var questions [][]byte
		for range 1 + a.IntN(5) {
			questions = append(questions, a.question())
		}
		all.Go(func() {
			for _, q := range questions {
				reply, err := a.call(u, q)
				if reply != nil {
					err = a.is(q, reply)
				}
				if err != nil {
					wrong <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(wrong)
	return <-wrong
}

func (a *asker) match() error {
	u, done, err := a.dial(client.Dialer{Match: func(q, reply []byte) bool {
		return len(reply) >= idLength && bytes.Equal(q[:idLength], reply[:idLength])
	}})
	if err != nil {
		return err
	}
	return errors.Join(a.many(u), done())
}

// byID also sees that nothing comes in that answers none of its questions.
func (a *asker) byID() error {
	u, done, err := a.dial(client.Dialer{ID: questionID})
	if err != nil {
		return err
	}
	err = errors.Join(a.many(u), done())
	if n := u.Stats().Unmatched; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d datagrams that nobody asked for", n))
	}
	return err
}

// oneByOne can't tell answers apart, nor need to: a client that was answered late
// changes its port. Only a network that doubles a datagram can fool it.
func (a *asker) oneByOne() error {
	u, done, err := a.dial(client.Dialer{})
	if err != nil {
		return err
	}
	var before [][]byte
	for range 1 + a.IntN(10) {
		q := a.question()
		reply, failed := a.call(u, q)
		if reply != nil && a.isOneOf(before, reply) && a.doubles {
			a.tally.note(a.target, "(one by one: an earlier answer)", nil)
		} else if reply != nil {
			failed = a.is(q, reply)
		}
		if err = failed; err != nil {
			break
		}
		before = append(before, q)
	}
	return errors.Join(err, done())
}

func (a *asker) isOneOf(questions [][]byte, reply []byte) bool {
	for _, q := range questions {
		if bytes.Equal(reply, answerTo(a.server, a.at, q)) {
			return true
		}
	}
	return false
}

func (a *asker) failFast() error {
	u, done, err := a.dial(client.Dialer{FailFast: true})
	if err != nil {
		return err
	}
	for range 1 + a.IntN(20) {
		if _, err = a.call(u, a.question()); err != nil {
			break
		}
	}
	return errors.Join(err, done())
}

func (a *asker) sendAndReceive() error {
	u, done, err := a.dial(client.Dialer{})
	if err != nil {
		return err
	}
	var asked [][]byte
	for range 1 + a.IntN(20) {
		q := a.question()
		if err := u.Send(q); err != nil && !errors.Is(err, client.ErrPortUnreachable) {
			return errors.Join(err, done())
		}
		asked = append(asked, q)
	}
	ctx, cancel := context.WithTimeout(a.ctx, 200*time.Millisecond)
	defer cancel()
	for {
		reply, err := u.Receive(ctx)
		switch {
		case sockets.IsTimeout(err):
			return done()
		case err != nil:
			return errors.Join(err, done())
		case !a.isOneOf(asked, reply):
			return errors.Join(fmt.Errorf("received %s, which answers nothing", short(reply)), done())
		}
		a.tally.answered(a.target)
	}
}

// open is a socket of the system's, for those that don't behave.
func (a *asker) open() (net.Conn, error) { return a.socket(a.ctx, "udp", a.address) }

// socket makes one with a port that no other client has had for long. The system gives
// ports out at random, and what answers the last owner of one would come to the next.
func (a *asker) socket(ctx context.Context, network, address string) (net.Conn, error) {
	for {
		d := net.Dialer{LocalAddr: &net.UDPAddr{Port: 30000 + int(a.ports.Add(1)%35000)}}
		c, err := d.DialContext(ctx, network, address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return c, err
		}
	}
}
