package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/sockets"
)

// target is where clients find a server: one of its addresses.
type target struct {
	server  int
	address string
}

func (t target) String() string { return fmt.Sprintf("%d=%s", t.server, t.address) }

func parseTargets(line string) (all []target, err error) {
	for _, f := range strings.Fields(line) {
		number, address, _ := strings.Cut(f, "=")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		all = append(all, target{n, address})
	}
	return all, nil
}

// service is a server that is stopped and started again.
type service struct {
	targets []target
	address string // to listen on
	listen  func(ctx context.Context, address string) (serve func(context.Context) error, err error)
	ledger  func() error // what does not add up where nothing runs
	stats   func() any
	runs    int
	wrong   []error
}

func (s *service) run(ctx context.Context) {
	for ctx.Err() == nil {
		serve, err := s.listen(ctx, s.address)
		if err != nil { // out of descriptors, perhaps: the others have them
			time.Sleep(20 * time.Millisecond)
			continue
		}
		some, stop := context.WithTimeout(ctx, 200*time.Millisecond+rand.N(2*time.Second))
		begin := time.Now()
		err = serve(some)
		stop()
		s.runs++
		s.check(err, time.Since(begin))
	}
}

// check is what holds on the next line after Serve.
func (s *service) check(err error, took time.Duration) {
	var drained *sockets.DrainError
	if errors.As(err, &drained) && len(drained.Abandoned) == 0 {
		err = nil // clients that do not read are cut off
	}
	if err != nil {
		s.wrong = append(s.wrong, fmt.Errorf("after %v: %w", took, err))
	}
	if err := s.ledger(); err != nil {
		s.wrong = append(s.wrong, fmt.Errorf("run %d: %w", s.runs, err))
	}
}

// serve is the servers' process: it runs until its standard input ends.
func serve(o options) int {
	if o.files > 0 {
		if err := limitFiles(o.files); err != nil {
			fmt.Fprintln(os.Stderr, "limit on open files:", err)
			return 1
		}
	}
	services, err := o.services() // which also wakes up the runtime's poller
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	before := now()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, s := range services {
		running.Go(func() { s.run(ctx) })
		for _, t := range s.targets {
			fmt.Print(t, " ")
		}
	}
	fmt.Println()
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	running.Wait()
	if ok := report(services); !before.same("servers") || !ok {
		return 1
	}
	return 0
}

// report prints what came of the servers, and whether all is well.
func report(services []*service) (ok bool) {
	ok = true
	for i, s := range services {
		fmt.Printf("server %d: %d runs, %+v\n", i, s.runs, s.stats())
		for _, w := range s.wrong {
			ok = false
			fmt.Printf("server %d: %v\n", i, w)
		}
	}
	return ok
}

// leftovers is what a process has that must not become more.
type leftovers struct{ goroutines, descriptors int }

func now() leftovers { return leftovers{runtime.NumGoroutine(), openFiles()} }

// same checks that nothing more is there than at first.
func (first leftovers) same(whose string) bool {
	n := now()
	for end := time.Now().Add(5 * time.Second); n.goroutines > first.goroutines && time.Now().Before(end); n = now() {
		time.Sleep(10 * time.Millisecond) // the runtime's own, and timers that are just running
	}
	fmt.Printf("%s: goroutines: %d, at first %d; descriptors: %d, at first %d\n", whose, n.goroutines, first.goroutines, n.descriptors, first.descriptors)
	if n.goroutines > first.goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%s\n", stacks[:runtime.Stack(stacks, true)])
	}
	return n.goroutines <= first.goroutines && n.descriptors <= first.descriptors
}

// freePort finds one that no client is given by the system for its own. It is taken
// until release is called.
func freePort(listen func(address string) (io.Closer, error)) (port string, release func(), err error) {
	for range 1000 {
		port = strconv.Itoa(20000 + rand.IntN(10000))
		var held io.Closer
		if held, err = listen(net.JoinHostPort("127.0.0.1", port)); err == nil {
			return port, func() { _ = held.Close() }, nil
		}
	}
	return "", nil, err
}
