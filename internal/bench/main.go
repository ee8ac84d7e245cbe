// Command bench compares UDP echo servers: a plain loop over the net package,
// gnet, and udpserver with its default configuration. Each server and the load
// are processes of their own, pinned by taskset; the rounds of all servers are
// interleaved, and medians are printed.
//
//	go run .                                    64-byte echo, four flows
//	go run . -flows 1 -window 1                 one flow, one datagram at a time
//	go run . -server-cpus 0,1 -load-cpus 0,1    all on the same two cores
//	go run . -load batch                        a load that costs more than most servers
//
// By default the load sends and takes what a flow has on its way in trains
// (UDP_SEGMENT, UDP_GRO), so that it is not the load that is measured: one datagram
// at a time across the loopback costs its sender most of what an echo costs. With
// -load batch it uses sendmmsg and recvmmsg alone; then look at the server's
// processor time for a reply, since the load's core is the one that is full.
//
// It is a module of its own so that gnet is no requirement of the library.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	role       = flag.String("role", "", "what this process is: empty for the one that compares, load, or a server's name")
	address    = flag.String("address", "", "where the load goes")
	servers    = flag.String("servers", "plain,gnet,udpserver", "what is compared; the first is the unit")
	rounds     = flag.Int("rounds", 5, "how often each is measured")
	length     = flag.Duration("time", 2*time.Second, "how long one measurement takes")
	flows      = flag.Int("flows", 4, "senders, each with a socket of its own")
	window     = flag.Int("window", 48, "datagrams that a flow has on their way")
	size       = flag.Int("size", 64, "bytes of a datagram")
	loadBy     = flag.String("load", "trains", "how the load moves datagrams: trains or batch")
	serverCPUs = flag.String("server-cpus", "0", "cores of the server, as taskset takes them")
	loadCPUs   = flag.String("load-cpus", "1", "cores of the load")
)

func main() {
	flag.Parse()
	var err error
	switch *role {
	case "":
		err = compare()
	case "load":
		err = load()
	default:
		err = serve(*role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// result is one measurement.
//
// On a machine that does other work the rate says what was left over; the
// processor time that the server spent on a reply says what it costs.
type result struct{ rate, p50, p99, cost float64 } // replies a second; microseconds

func compare() error {
	names := strings.Split(*servers, ",")
	results := make(map[string][]result)
	for range *rounds {
		for _, name := range names {
			r, err := measure(name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			results[name] = append(results[name], r)
		}
	}
	print(names, results)
	return nil
}

func print(names []string, results map[string][]result) {
	rate := func(r result) float64 { return r.rate }
	cost := func(r result) float64 { return r.cost }
	for _, name := range names {
		all, unit := results[name], results[names[0]]
		fmt.Printf("%-12s %8.0f/s %5.2fx   server %6.3f us/reply %5.2fx   p50 %7.1f us   p99 %8.1f us\n", name,
			median(all, rate), median(all, rate)/median(unit, rate),
			median(all, cost), median(unit, cost)/median(all, cost),
			median(all, func(r result) float64 { return r.p50 }),
			median(all, func(r result) float64 { return r.p99 }))
	}
}

func median(all []result, of func(result) float64) float64 {
	var v []float64
	for _, r := range all {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// measure starts a server, which prints its address, puts the load on it, which
// prints its result, and stops it.
func measure(name string) (r result, err error) {
	server := pinned(*serverCPUs, "-role", name)
	out, err := server.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := server.Start(); err != nil {
		return r, err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
		spent := server.ProcessState.UserTime() + server.ProcessState.SystemTime()
		r.cost = spent.Seconds() * 1e6 / (r.rate * length.Seconds())
	}()
	lines := bufio.NewScanner(out)
	var to netip.AddrPort
	for !to.IsValid() && lines.Scan() { // gnet logs there too
		to, _ = netip.ParseAddrPort(lines.Text())
	}
	text, err := pinned(*loadCPUs, "-role", "load", "-address", to.String(),
		"-time", length.String(), "-flows", strconv.Itoa(*flows), "-window", strconv.Itoa(*window), "-size", strconv.Itoa(*size), "-load", *loadBy).Output()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(string(text), &r.rate, &r.p50, &r.p99)
	return r, err
}

// pinned is this program again, in another role, on some cores only.
func pinned(cpus string, args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	cmd := exec.Command("taskset", append([]string{"-c", cpus, self}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}
