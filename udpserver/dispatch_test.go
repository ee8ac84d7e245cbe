package udpserver_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"example.com/sockets/udpserver"
)

// A handler that sleeps must not delay the datagrams behind it, also if one in a
// hundred does: most wait for nobody, and none for a sleep.
func TestSlowHandlersDelayNobody(t *testing.T) {
	const n, nap = 2000, 10 * time.Millisecond
	s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
		if string(d.Data) == "slow" {
			time.Sleep(nap)
			return nil
		}
		return d.Reply(d.Data)
	}}
	to, _ := serve(t, s)
	c := dial(t, to)
	var late []time.Duration
	for i := range n {
		if i%100 == 50 {
			send(t, c, "slow")
		}
		start := time.Now()
		send(t, c, fmt.Sprint(i))
		if got := receive(t, c); got != fmt.Sprint(i) {
			t.Fatalf("got %q, want %d", got, i)
		}
		if i%100 == 50 {
			late = append(late, time.Since(start))
		}
	}
	slices.Sort(late)
	t.Logf("behind a slow one: median %v, worst %v", late[len(late)/2], late[len(late)-1])
	if median := late[len(late)/2]; median > nap/2 {
		t.Errorf("the datagram behind a slow one waits for %v, the slow one takes %v", median, nap)
	}
}

// A reply leaves at once although its handler goes on, whether its datagram came
// alone or with others, and whether the handler works or waits.
func TestRepliesLeaveBeforeTheHandlerEnds(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("a handler that works has the only processor")
	}
	const busy = 50 * time.Millisecond
	for name, after := range map[string]func(){
		"waits": func() { time.Sleep(busy) },
		"works": func() {
			for end := time.Now().Add(busy); time.Now().Before(end); {
			}
		},
	} {
		for _, company := range []int{0, 8} {
			t.Run(fmt.Sprintf("%s, with %d others", name, company), func(t *testing.T) {
				hold := make(chan struct{})
				s := &udpserver.Server{Handler: func(_ context.Context, d *udpserver.Datagram) error {
					switch string(d.Data) {
					case "hold": // so that the others come in one batch
						<-hold
						return nil
					case "go on":
						err := d.Reply(d.Data)
						after()
						return err
					}
					return nil
				}}
				s.MaxHandlers = 2
				to, _ := serve(t, s)
				c := dial(t, to)
				var took []time.Duration
				for range 5 {
					send(t, c, "hold", "hold")
					for s.Stats().Running < 2 {
						time.Sleep(time.Millisecond)
					}
					send(t, c, "go on")
					for range company {
						send(t, c, "other")
					}
					start := time.Now()
					hold <- struct{}{}
					hold <- struct{}{}
					receive(t, c)
					took = append(took, time.Since(start))
					for s.Stats().Running > 0 {
						time.Sleep(time.Millisecond)
					}
				}
				slices.Sort(took)
				t.Log(took)
				if took[0] > busy/5 { // the machine has other things to do
					t.Errorf("the reply took %v, the handler %v", took, busy)
				}
			})
		}
	}
}

// Under load, with every engine: nothing is lost but what is counted.
func TestLedgerUnderLoad(t *testing.T) {
	for name, e := range map[string]udpserver.Engine{"single": udpserver.EngineSingle, "batch": udpserver.EngineBatch, "trains": udpserver.EngineTrains} {
		for _, most := range []int{1, 2, 0} {
			t.Run(fmt.Sprintf("%s, %d handlers", name, most), func(t *testing.T) {
				s := &udpserver.Server{Engine: e, MaxHandlers: most, Handler: func(_ context.Context, d *udpserver.Datagram) error {
					if len(d.Data) > 0 && d.Data[0]%64 == 0 {
						time.Sleep(100 * time.Microsecond)
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
