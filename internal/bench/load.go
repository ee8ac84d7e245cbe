package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/sockets/internal/udpio"
)

// load keeps window datagrams of each flow on their way for as long as it runs,
// and prints the rate of the replies and the median and 99th percentile of their
// round trips in microseconds. What is lost is given up after 50 ms.
func load() error {
	to, err := netip.ParseAddrPort(*address)
	if err != nil {
		return err
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		trips []float64
		count int
	)
	start := time.Now()
	for range *flows {
		wg.Go(func() {
			n, t, err := flow(to, start)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				fmt.Fprintln(os.Stderr, "flow:", err)
			}
			count, trips = count+n, append(trips, t...)
		})
	}
	wg.Wait()
	if len(trips) == 0 {
		return errors.New("no reply")
	}
	slices.Sort(trips)
	fmt.Println(float64(count)/time.Since(start).Seconds(), trips[len(trips)/2], trips[len(trips)*99/100])
	return nil
}

func flow(to netip.AddrPort, start time.Time) (count int, trips []float64, err error) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, nil, err
	}
	engine := udpio.Trains
	if *loadBy == "batch" {
		engine = udpio.Multi
	}
	conn := udpio.Open(pc, 2048, engine)
	defer conn.Close()
	out := conn.NewBatch(func(udpio.Route, error) {})
	if out == nil {
		return 0, nil, errors.New("this system has no batched engine")
	}
	p := make([]byte, max(*size, 8))
	onWay := 0
	for time.Since(start) < *length {
		binary.NativeEndian.PutUint64(p, uint64(time.Since(start)))
		for ; onWay < *window; onWay++ {
			if !out.Add(p, udpio.Route{Peer: to}) {
				break
			}
		}
		out.Send()
		pc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		packets, err := conn.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			onWay = 0
			continue
		}
		if err != nil {
			return count, trips, err
		}
		now := time.Since(start)
		count, onWay = count+len(packets), max(0, onWay-len(packets))
		sent := binary.NativeEndian.Uint64(packets[0].Data)
		trips = append(trips, float64(now-time.Duration(sent))/1e3)
	}
	return count, trips, nil
}
