package udpserver_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"

	"example.com/sockets"
	"example.com/sockets/addr"
	"example.com/sockets/udpserver"
)

// What waits when the grace period is over, and what is just being read, are dropped
// as what they are: neither takes the place of the other.
func TestCutWhileReading(t *testing.T) {
	type drop struct {
		from addr.Endpoint
		why  udpserver.Drop
	}
	told := map[drop]int{}
	var mu sync.Mutex
	reading, goOn, began, ended := make(chan bool), make(chan bool), make(chan bool), make(chan bool)
	s := &udpserver.Server{
		MaxHandlers: 1, MaxSize: 4, Engine: udpserver.EngineBatch, Timeouts: udpserver.Timeouts{Grace: -1},
		Handler: func(ctx context.Context, _ *udpserver.Datagram) error {
			began <- true
			<-ctx.Done()
			ended <- true
			return nil
		},
		Trace: &udpserver.Trace{Dropped: func(from addr.Endpoint, why udpserver.Drop) {
			mu.Lock()
			told[drop{from, why}]++
			mu.Unlock()
			if why == udpserver.DropTruncated { // the reader waits here, with the rest of its batch
				reading <- true
				<-goOn
			}
		}},
	}
	to, stop := serve(t, s)
	waits, comes := dial(t, to), dial(t, to)
	send(t, waits, "1")
	<-began
	send(t, waits, "2", "3")
	await(func() bool { return s.Stats().Received == 3 })
	send(t, comes, "first")
	<-reading
	send(t, comes, "second", "4")
	goOn <- true
	<-reading
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	<-ended
	goOn <- true
	var drained *sockets.DrainError
	if err := <-stopped; !errors.As(err, &drained) || len(drained.CutOff) != 1 || len(drained.Abandoned) > 0 {
		t.Errorf("Serve: %v", err)
	}
	a, _ := addr.From(waits.LocalAddr())
	b, _ := addr.From(comes.LocalAddr())
	want := map[drop]int{{a, udpserver.DropStopped}: 2, {b, udpserver.DropStopped}: 1, {b, udpserver.DropTruncated}: 2}
	if !maps.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	ledger(t, s)
}
