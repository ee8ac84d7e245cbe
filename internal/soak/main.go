// Command soak lets clients of every bad kind loose on three servers of package
// tcpserver that stop and start again all the time, and fails if anything is left in
// the end: a connection that is counted and not there, a goroutine, a descriptor.
//
//	go run -race ./internal/soak -for 30s
//	go run -race ./internal/soak -for 10s -files 100
//
// The clients run in one process and the servers in another, its child, so that
// -files, a limit on open files, is one for the servers alone.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

func main() {
	length := flag.Duration("for", 30*time.Second, "how long")
	files := flag.Uint64("files", 0, "the servers' limit on open files; 0: as it is")
	clients := flag.Int("clients", 300, "how many clients at once")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the clients' choices")
	child := flag.Bool("serve", false, "be the servers' process; used by the other")
	flag.Parse()
	if *child {
		os.Exit(serve(*files))
	}
	fmt.Printf("soak: %d clients for %v, seed %d, files %d\n", *clients, *length, *seed, *files)
	if err := run(*length, *files, *clients, *seed); err != nil {
		fmt.Println("soak:", err)
		os.Exit(1)
	}
}

// run starts the servers' process, sends clients for so long, and lets it end.
func run(length time.Duration, files uint64, clients int, seed uint64) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-serve", fmt.Sprint("-files=", files))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	from := bufio.NewReader(out)
	ready, err := from.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the servers did not start: %w", cmd.Wait())
	}
	wrong := send(length, strings.Fields(ready), clients, seed)
	if err := in.Close(); err != nil { // which tells them to end
		return err
	}
	if _, err := io.Copy(os.Stdout, from); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the servers: %w", err)
	}
	return wrong
}

// send lets clients loose on the servers, each with one behaviour after the other.
func send(length time.Duration, addresses []string, clients int, seed uint64) error {
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var all sync.WaitGroup
	var t tally
	for i := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for ctx.Err() == nil {
				b := behaviours[r.IntN(len(behaviours))]
				c := &client{Rand: r, server: r.IntN(len(addresses)), tally: &t}
				c.run(ctx, b, addresses[c.server])
				pause(ctx, time.Duration(r.IntN(30))*time.Millisecond)
			}
		})
	}
	all.Wait()
	return t.report(len(addresses))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
