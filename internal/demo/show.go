package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/sockets/addr"
	"example.com/sockets/client"
)

// show runs the service and six clients, says who talked to whom, and stops.
func show(ctx context.Context) error {
	s, err := listen(ctx, "127.0.0.1:0", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	fmt.Printf("The uppercase service is at %v, over TCP and over UDP.\n\n", s.tcpAt)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- s.serve(serving) }()

	var seen sequence
	err = callAll(ctx, s, &seen)
	fmt.Println()
	seen.print()

	begin := time.Now()
	stop()
	if stopped := <-served; err == nil {
		err = stopped
	}
	fmt.Printf("\nBoth servers stopped within %v.\n", time.Since(begin).Round(time.Millisecond))
	s.statistics()
	if err == nil {
		err = lossy(ctx)
	}
	return err
}

// callAll runs three TCP and three UDP clients at once. Each asks twice; a TCP
// client over one connection, a UDP client from one socket.
func callAll(ctx context.Context, s *service, seen *sequence) error {
	all, ctx := errgroup.WithContext(ctx)
	for i := range 3 {
		all.Go(func() error {
			conn, err := client.DialTCP(ctx, s.tcpAt.String())
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			return ask(ctx, seen, conn.Call, conn.Local(), conn.Remote(), i)
		})
		all.Go(func() error {
			udp, err := client.DialUDP(ctx, s.udpAt.String())
			if err != nil {
				return err
			}
			defer func() { _ = udp.Close() }()
			return ask(ctx, seen, udp.Call, udp.Local(), udp.Remote(), i)
		})
	}
	return all.Wait()
}

var words = [][]string{{"hello", "sockets"}, {"one", "two"}, {"welcoming", "connection"}}

func ask(ctx context.Context, seen *sequence, call func(context.Context, []byte) ([]byte, error), local, remote addr.Endpoint, i int) error {
	for _, word := range words[i] {
		seen.add(local, remote, word)
		reply, err := call(ctx, []byte(word))
		if err != nil {
			return err
		}
		seen.add(remote, local, string(reply))
		if want := bytes.ToUpper([]byte(word)); !bytes.Equal(reply, want) {
			return fmt.Errorf("%v answered %q to %q, not %q", remote, reply, word, want)
		}
		fmt.Printf("%v asked %v %q and got %q\n", local, remote, word, reply)
	}
	return nil
}

// sequence is what was sent, by whom to whom and when, as the clients saw it.
type sequence struct {
	mu     sync.Mutex
	events []event
}

type event struct {
	at       time.Time
	from, to addr.Endpoint
	text     string
}

func (s *sequence) add(from, to addr.Endpoint, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event{time.Now(), from, to, text})
}

func (s *sequence) print() {
	slices.SortStableFunc(s.events, func(a, b event) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	fmt.Println("In the order of time:")
	for _, e := range s.events {
		fmt.Printf("%9.3f ms  %-21v -> %-21v  %s\n",
			float64(e.at.Sub(s.events[0].at).Microseconds())/1000, e.from, e.to, e.text)
	}
}
