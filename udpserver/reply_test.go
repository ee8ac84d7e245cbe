package udpserver_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"example.com/sockets/udpserver"
)

// engineNames are all ways to move datagrams; a system may lack some.
var engineNames = map[string]udpserver.Engine{"single": udpserver.EngineSingle, "batch": udpserver.EngineBatch, "trains": udpserver.EngineTrains}

const (
	// rounds are played at least, and mostRounds if the machine is busy with
	// something else, until enough replies have come within what is promised. A
	// reply that waits for a timer or for its handler always does.
	rounds, mostRounds, enough = 50, 1000, 10
	promised                   = time.Millisecond
)

// A reply that was given to Reply leaves at once although its handler goes on, for
// ever as far as the server knows: the client has it before the handler is told to
// return, whether that waits or computes, and whether its datagram came alone or as
// the first of a batch, whose replies are collected.
func TestReplyNeedsNotItsHandlersEnd(t *testing.T) {
	for name, e := range engineNames {
		for _, computes := range []bool{false, true} {
			for _, company := range []int{0, 8} {
				t.Run(fmt.Sprintf("%s, computes %v, with %d others", name, computes, company), func(t *testing.T) {
					testReply(t, &stayer{engine: e, computes: computes, company: company})
				})
			}
		}
	}
}

func testReply(t *testing.T, st *stayer) {
	soon, best, wanted := 0, time.Hour, enough
	if st.computes && runtime.GOMAXPROCS(0) == 1 {
		wanted = 0 // the handler has the only processor, until it is interrupted
	}
	for n := 0; n < rounds || soon < wanted && n < mostRounds; n++ {
		took := st.round(t)
		best = min(best, took)
		if took <= promised {
			soon++
		}
	}
	if batches := runtime.GOOS == "linux" && st.engine != udpserver.EngineSingle; st.collected != (batches && st.company > 0) {
		t.Errorf("replies were collected: %v", st.collected)
	}
	if soon < wanted {
		t.Errorf("%d replies came within %v, the first after %v", soon, promised, best)
	}
}

// stayer is a handler that stays after its reply.
type stayer struct {
	engine   udpserver.Engine
	computes bool
	company  int

	replied   time.Time // when Reply was called
	collected bool      // some reply was
	release   chan struct{}
	released  atomic.Bool
}

func (st *stayer) handle(_ context.Context, d *udpserver.Datagram) error {
	if string(d.Data) != "stay" {
		return d.Reply(d.Data)
	}
	st.collected = udpserver.Collects(d) || st.collected // unless somebody was faster
	st.replied = time.Now()
	if err := d.Reply(d.Data); err != nil {
		return err
	}
	for st.computes && !st.released.Load() {
	}
	<-st.release
	return nil
}

// round returns how long the reply took from the call of Reply until it was there.
func (st *stayer) round(t *testing.T) time.Duration {
	st.release = make(chan struct{})
	st.released.Store(false)
	s := &udpserver.Server{Engine: st.engine, Handler: st.handle, MaxSize: 64}
	pc, err := s.ListenPacket(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, others := dial(t, pc.LocalAddr()), dial(t, pc.LocalAddr())
	defer c.Close()
	defer others.Close()
	send(t, c, "stay") // before the server reads, so that all come together
	for range st.company {
		send(t, others, "go")
	}
	stop := serveOn(t, s, pc)
	receive(t, c)
	arrived := time.Now()
	if n := s.Stats().Running; n == 0 {
		t.Error("the handler has returned")
	}
	for range st.company {
		receive(t, others)
	}
	st.released.Store(true)
	close(st.release)
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	return arrived.Sub(st.replied)
}
