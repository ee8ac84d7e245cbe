// Command soak lets clients of every bad kind loose on servers that stop and start
// again all the time, and fails if anything is left in the end: a connection that is
// counted and not there, a datagram that is not counted, a goroutine, a descriptor.
//
//	go run -race ./internal/soak -for 30s
//	go run -race ./internal/soak -for 10s -files 100
//	go run -race ./internal/soak -udp -for 5s
//
// The servers are three of package tcpserver, or with -udp eight of udpserver, two
// of them for sessions. The clients run in one process and the servers in another, its
// child, so that -files, a limit on open files, is one for the servers alone, and so
// that with -netns the servers are in a network namespace of their own: then there is
// a network between them, which may lose, double and reorder what goes through it. See
// .ci/netns.
package main

import (
	"bufio"
	"context"
	"errors"
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

// options are the flags.
type options struct {
	length  time.Duration
	files   uint64
	clients int
	seed    uint64
	udp     bool
	ask     string
	netns   string
	doubles bool
}

func main() {
	var o options
	flag.DurationVar(&o.length, "for", 30*time.Second, "how long")
	flag.Uint64Var(&o.files, "files", 0, "the servers' limit on open files; 0: as it is")
	flag.IntVar(&o.clients, "clients", 300, "how many clients at once")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the clients' choices")
	flag.BoolVar(&o.udp, "udp", false, "datagrams instead of connections")
	flag.StringVar(&o.ask, "ask", defaultAsk, "with -udp: the servers' IP addresses, separated by commas")
	flag.StringVar(&o.netns, "netns", "", "the network namespace that the servers are in, as ip netns names it; empty: the clients'")
	flag.BoolVar(&o.doubles, "doubles", false, "the network doubles datagrams: what answers a call may answer the next one too")
	child := flag.Bool("serve", false, "be the servers' process; used by the other")
	link := flag.String("link", "", "be a network that loses, doubles and reorders, between two namespaces: FIRST,SECOND (Linux, root)")
	flag.Parse()
	switch {
	case *link != "":
		os.Exit(connect(*link))
	case *child:
		os.Exit(serve(o))
	}
	fmt.Printf("soak: %d clients for %v, seed %d, files %d\n", o.clients, o.length, o.seed, o.files)
	if err := run(o); err != nil {
		fmt.Println("soak:", err)
		os.Exit(1)
	}
}

// agent is a client with something in mind. It returns when it is done.
type agent func(ctx context.Context, r *rand.Rand, to target, t *tally)

func (o options) agent() agent {
	if o.udp {
		return udpAgent(o.doubles)
	}
	return tcpAgent
}

func (o options) services() ([]*service, error) {
	if o.udp {
		return udpServices(strings.Split(o.ask, ","))
	}
	return tcpServices()
}

// command is the servers' process.
func (o options) command() (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{self, "-serve", fmt.Sprint("-udp=", o.udp), "-ask=" + o.ask, fmt.Sprint("-files=", o.files)}
	if o.netns != "" {
		args = append([]string{"ip", "netns", "exec", o.netns}, args...)
	}
	return exec.Command(args[0], args[1:]...), nil
}

// run starts the servers' process, sends clients for so long, and lets it end.
func run(o options) error {
	cmd, err := o.command()
	if err != nil {
		return err
	}
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
	targets, err := parseTargets(ready)
	if err != nil {
		return err
	}
	wrong := send(o, targets)
	if err := in.Close(); err != nil { // which tells them to end
		return err
	}
	if _, err := io.Copy(os.Stdout, from); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		wrong = errors.Join(wrong, fmt.Errorf("the servers: %w", err))
	}
	return wrong
}

// send lets clients loose on the servers, each with one behaviour after the other.
func send(o options, targets []target) error {
	ctx, stop := context.WithTimeout(context.Background(), o.length)
	defer stop()
	before := now()
	var all sync.WaitGroup
	t, act := newTally(), o.agent()
	for i := range o.clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(o.seed, uint64(i)))
			for ctx.Err() == nil {
				act(ctx, r, targets[r.IntN(len(targets))], t)
				pause(ctx, time.Duration(r.IntN(30))*time.Millisecond)
			}
		})
	}
	all.Wait()
	stop()
	err := t.report(targets)
	if !before.same("clients") {
		err = errors.Join(err, errors.New("the clients left something behind"))
	}
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
