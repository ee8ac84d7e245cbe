package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	random "math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// refusal is what a client reads for which there is no room.
const refusal = "no room\n"

// serve is the servers' process: it runs until its standard input ends.
func serve(files uint64) int {
	if files > 0 {
		if err := limitFiles(files); err != nil {
			fmt.Fprintln(os.Stderr, "limit on open files:", err)
			return 1
		}
	}
	servers, err := make3()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	addresses, err := ports(len(servers)) // which also wakes up the runtime's poller
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	goroutines, descriptors := runtime.NumGoroutine(), openFiles()
	ctx, stop := context.WithCancel(context.Background())
	all := make([]*alternating, len(servers))
	var running sync.WaitGroup
	for i, s := range servers {
		all[i] = &alternating{Server: s, address: addresses[i]}
		running.Go(func() { all[i].run(ctx) })
	}
	fmt.Println(addresses[0], addresses[1], addresses[2])
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop()
	running.Wait()
	ok := true
	for i, a := range all {
		fmt.Printf("server %d: %d runs, %+v\n", i, a.runs, a.Stats())
		for _, w := range a.wrong {
			ok = false
			fmt.Printf("server %d: %v\n", i, w)
		}
	}
	if !ok || !same(goroutines, descriptors) {
		return 1
	}
	return 0
}

// same checks that nothing more is there than at first.
func same(goroutines, descriptors int) bool {
	g, d := runtime.NumGoroutine(), openFiles()
	for end := time.Now().Add(5 * time.Second); g > goroutines && time.Now().Before(end); g = runtime.NumGoroutine() {
		time.Sleep(10 * time.Millisecond) // the runtime's own, and timers that are just running
	}
	fmt.Printf("goroutines: %d, at first %d; descriptors: %d, at first %d\n", g, goroutines, d, descriptors)
	if g > goroutines {
		stacks := make([]byte, 1<<20)
		fmt.Printf("%s\n", stacks[:runtime.Stack(stacks, true)])
	}
	return g <= goroutines && d <= descriptors
}

// make3 makes three servers, which differ in all that can be set.
func make3() ([]*tcpserver.Server, error) {
	cert, err := certificate()
	if err != nil {
		return nil, err
	}
	times := tcpserver.Timeouts{
		Handshake: 500 * time.Millisecond, Idle: 2 * time.Second, Message: time.Second, Write: 500 * time.Millisecond,
		Lifetime: 3 * time.Second, MinRate: 500, Linger: 300 * time.Millisecond, Grace: 700 * time.Millisecond,
	}
	log := slog.New(slog.DiscardHandler)
	return []*tcpserver.Server{
		{Handler: handle, Logger: log, Timeouts: times, Limits: tcpserver.Limits{Conns: 60}},
		{Handler: handle, Logger: log, Timeouts: times, Prepare: prepare, TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
			Limits: tcpserver.Limits{Conns: 30, Handshakes: 60, Overload: tcpserver.Reject, Refusal: []byte(refusal)}},
		{Handler: handle, Logger: log, Timeouts: tcpserver.Timeouts{Idle: time.Second, Message: time.Second, Write: 500 * time.Millisecond, Grace: 300 * time.Millisecond},
			Limits: tcpserver.Limits{Conns: 20, Overload: tcpserver.Block, PerSource: 1000}},
	}, nil
}

// handle answers questions, and does what a client should not be able to ask for.
func handle(ctx context.Context, c *sockets.Conn) error {
	for q, err := range c.Messages() {
		if err != nil {
			return err
		}
		switch string(q) {
		case "panic":
			panic("as the client wished")
		case "big":
			if _, err := c.Write(make([]byte, 8<<20)); err != nil {
				return err
			}
		default:
			if err := c.WriteMessage(bytes.ToUpper(q)); err != nil {
				return err
			}
		}
	}
	return nil
}

// prepare wants a header before TLS.
func prepare(_ context.Context, c net.Conn) (net.Conn, error) {
	b := make([]byte, len(header))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	if string(b) != header {
		return nil, errors.New("no header")
	}
	return c, nil
}

// alternating is a server that is stopped and started again.
type alternating struct {
	*tcpserver.Server
	address string
	runs    int
	wrong   []error
}

func (a *alternating) run(ctx context.Context) {
	for ctx.Err() == nil {
		ln, err := a.Listen(ctx, a.address)
		if err != nil { // out of descriptors, perhaps: the others have them
			time.Sleep(20 * time.Millisecond)
			continue
		}
		some, stop := context.WithTimeout(ctx, 200*time.Millisecond+random.N(2*time.Second))
		begin := time.Now()
		err = a.Serve(some, ln)
		stop()
		a.runs++
		a.check(err, time.Since(begin))
	}
}

// check is what holds on the next line after Serve.
func (a *alternating) check(err error, took time.Duration) {
	var drained *sockets.DrainError
	if errors.As(err, &drained) && len(drained.Abandoned) == 0 {
		err = nil // clients that do not read are cut off
	}
	if err != nil {
		a.wrong = append(a.wrong, fmt.Errorf("after %v: %w", took, err))
	}
	st := a.Stats()
	ended := st.Served + st.Failed + st.Panics + st.Unserved + st.Handshakes + st.Rejected + st.RejectedSource + st.Shed
	if st.Running+st.Handshaking+st.Idle+st.Lingering+st.Queue != 0 || st.Accepted != ended {
		a.wrong = append(a.wrong, fmt.Errorf("run %d: %d of %d ended: %+v", a.runs, ended, st.Accepted, st))
	}
}

// ports finds addresses that no client is given by the system for its own.
func ports(n int) (addresses []string, err error) {
	for range 1000 {
		ln, failed := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+random.IntN(10000)))
		if failed != nil {
			err = failed
			continue
		}
		addresses = append(addresses, ln.Addr().String())
		if err := ln.Close(); err != nil {
			return nil, err
		}
		if len(addresses) == n {
			return addresses, nil
		}
	}
	return nil, err
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"soak"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
