package client_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/sockets"
	"example.com/sockets/client"
)

// One has the only connection, others wait for it. It is given back, broken or
// closed, a wait is cancelled or the pool closed, at random moments. Nobody is left
// waiting, nobody shares the connection, and the place is free in the end: a wait
// that was forgotten would take its 10 s of virtual time, and fail.
func TestPoolInterleavings(t *testing.T) {
	rounds := 100_000
	if raceEnabled || testing.Short() {
		rounds = 5_000
	}
	synctest.Test(t, func(t *testing.T) {
		for done := 0; done < rounds; {
			p := &client.Pool{Address: "10.0.0.2:80", Conns: 1, Dialer: client.Dialer{DialContext: dialNobody}}
			for range 100 {
				interleave(t, p, rand.IntN(200) == 0)
				done++
			}
			if err := p.Close(); err != nil || p.Stats().Open != 0 || t.Failed() {
				t.Fatalf("%v: %+v", err, p.Stats())
			}
		}
	})
}

var errOwn = errors.New("own")

// interleave lets three at a pool of one connection, all at the same instant.
func interleave(t *testing.T, p *client.Pool, closing bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var users int // of the connection, guarded by having it
	var all sync.WaitGroup
	for i := range 3 {
		how := rand.IntN(8)
		dally, own := rand.IntN(4), context.Background()
		if i == 1 {
			own = ctx
		}
		all.Go(func() {
			err := p.Do(own, func(_ context.Context, c *sockets.Conn) error {
				users++
				yield(dally)
				if users--; users != 0 {
					t.Error("two have the connection")
				}
				switch how {
				case 0:
					return errOwn
				case 1:
					c.Close()
				}
				return nil
			})
			if err != nil && err != errOwn && !(i == 1 && errors.Is(err, context.Canceled)) && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
	yield(rand.IntN(8))
	if rand.IntN(2) == 0 {
		cancel()
	}
	if closing {
		p.Close()
	}
	all.Wait()
}

func yield(n int) {
	for range n {
		runtime.Gosched()
	}
}

// dialNobody makes a connection to a peer that says nothing.
func dialNobody(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	return pipeEnd{here, there}, nil
}

type pipeEnd struct {
	net.Conn
	there net.Conn
}

func (p pipeEnd) Close() error { p.there.Close(); return p.Conn.Close() }
