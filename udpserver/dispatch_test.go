package udpserver_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/sockets/udpserver"
)

// A handler that sleeps must not delay the datagrams behind it, also if one in a
// hundred does: none waits longer than it takes to see that it sleeps.
func TestSlowHandlersDelayNobody(t *testing.T) {
	const n, nap, most = 2000, 10 * time.Millisecond, 500 * time.Microsecond
	synctest.Test(t, func(t *testing.T) {
		s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
			if string(d.Data) == "slow" {
				time.Sleep(nap)
				return nil
			}
			return d.Reply(d.Data)
		}}
		pc, c := simPair(t)
		serveOn(t, s, pc)
		for i := range n {
			if i%100 == 50 {
				send(t, c, "slow")
			}
			start := time.Now()
			send(t, c, fmt.Sprint(i))
			if got := receive(t, c); got != fmt.Sprint(i) {
				t.Fatalf("got %q, want %d", got, i)
			}
			if d := time.Since(start); d > most {
				t.Errorf("datagram %d waits for %v", i, d)
			}
		}
	})
}

// A reply leaves although its handler goes on, until it has arrived, whether its
// datagram came alone or with others, and whether the handler works or waits.
func TestRepliesLeaveBeforeTheHandlerEnds(t *testing.T) {
	for _, works := range []bool{false, true} {
		for _, company := range []int{0, 8} {
			t.Run(fmt.Sprintf("works %v, with %d others", works, company), func(t *testing.T) {
				if works && runtime.GOMAXPROCS(0) == 1 {
					t.Skip("a handler that works has the only processor")
				}
				r := &replier{works: works, hold: make(chan struct{}), arrived: make(chan struct{})}
				s := &udpserver.Server{MaxHandlers: 2, Handler: r.handle}
				to, _ := serve(t, s)
				c := dial(t, to)
				var took []time.Duration
				for range 5 {
					send(t, c, "hold", "hold")
					await(func() bool { return s.Stats().Running == 2 })
					send(t, c, "go on")
					for range company {
						send(t, c, "other")
					}
					took = append(took, r.measure(t, c))
					await(func() bool { return s.Stats().Running == 0 })
				}
				slices.Sort(took)
				t.Log(took)
				if took[0] > 10*time.Millisecond { // the machine has other things to do
					t.Errorf("the reply took at best %v", took[0])
				}
			})
		}
	}
}

// replier goes on after its reply until that has arrived.
type replier struct {
	works         bool
	hold, arrived chan struct{}
	seen          atomic.Bool
}

func (r *replier) handle(_ context.Context, d *udpserver.Datagram) error {
	switch string(d.Data) {
	case "hold": // so that the others come in one batch
		<-r.hold
	case "go on":
		err := d.Reply(d.Data)
		for r.works && !r.seen.Load() {
		}
		<-r.arrived
		return err
	}
	return nil
}

// measure returns how long the reply takes from when its datagram may be handled.
func (r *replier) measure(t *testing.T, c net.Conn) time.Duration {
	r.seen.Store(false)
	start := time.Now()
	r.hold <- struct{}{}
	r.hold <- struct{}{}
	receive(t, c)
	took := time.Since(start)
	r.seen.Store(true)
	r.arrived <- struct{}{}
	return took
}

// Under load, with every engine: nothing is lost but what is counted.
func TestLedgerUnderLoad(t *testing.T) {
	for name, e := range map[string]udpserver.Engine{"single": udpserver.EngineSingle, "batch": udpserver.EngineBatch, "trains": udpserver.EngineTrains} {
		for _, most := range []int{1, 2, 0} {
			t.Run(fmt.Sprintf("%s, %d handlers", name, most), func(t *testing.T) {
				s := &udpserver.Server{Engine: e, MaxHandlers: most, Handler: func(_ context.Context, d *udpserver.Datagram) error {
					if len(d.Data) > 0 && d.Data[0]%64 == 0 {
						giveWay()
					}
					return d.Reply(d.Data)
				}}
				to, stop := serve(t, s)
				const clients, each, window = 4, 500, 32
				done := make(chan string, clients)
				for range clients {
					c := dial(t, to)
					go func() {
						buf := make([]byte, 64)
						for sent, got := 0, 0; got < each; {
							for ; sent < each && sent-got < window; sent++ {
								c.Write([]byte{byte(sent), 1, 2, 3})
							}
							if _, err := c.Read(buf); err != nil {
								done <- err.Error()
								return
							}
							got++
						}
						done <- ""
					}()
				}
				for range clients {
					if e := <-done; e != "" {
						t.Error(e)
					}
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
				st := ledger(t, s)
				if st.Received != clients*each || st.Sent != clients*each || st.BytesOut != 4*clients*each || st.Unsent.Total() != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		}
	}
}

// giveWay takes its time, in which others can do something.
func giveWay() {
	for range 100 {
		runtime.Gosched()
	}
}
