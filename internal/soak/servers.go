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
	"net"
	"time"

	"example.com/sockets"
	"example.com/sockets/tcpserver"
)

// refusal is what a client reads for which there is no room.
const refusal = "no room\n"

// tcpServices makes three servers, which differ in all that can be set.
func tcpServices() ([]*service, error) {
	cert, err := certificate()
	if err != nil {
		return nil, err
	}
	times := tcpserver.Timeouts{
		Handshake: 500 * time.Millisecond, Idle: 2 * time.Second, Message: time.Second, Write: 500 * time.Millisecond,
		Lifetime: 3 * time.Second, MinRate: 500, Linger: 300 * time.Millisecond, Grace: 700 * time.Millisecond,
	}
	log := slog.New(slog.DiscardHandler)
	var all []*service
	for i, s := range []*tcpserver.Server{
		{Handler: handle, Logger: log, Timeouts: times, Limits: tcpserver.Limits{Conns: 60}},
		{Handler: handle, Logger: log, Timeouts: times, Prepare: prepare, TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
			Limits: tcpserver.Limits{Conns: 30, Handshakes: 60, Overload: tcpserver.Reject, Refusal: []byte(refusal)}},
		{Handler: handle, Logger: log, Timeouts: tcpserver.Timeouts{Idle: time.Second, Message: time.Second, Write: 500 * time.Millisecond, Grace: 300 * time.Millisecond},
			Limits: tcpserver.Limits{Conns: 20, Overload: tcpserver.Block, PerSource: 1000}},
	} {
		port, release, err := freePort(func(a string) (io.Closer, error) { return net.Listen("tcp", a) })
		if err != nil {
			return nil, err
		}
		defer release()
		all = append(all, tcpService(s, target{i, net.JoinHostPort("127.0.0.1", port)}))
	}
	return all, nil
}

func tcpService(s *tcpserver.Server, at target) *service {
	return &service{
		targets: []target{at}, address: at.address,
		listen: func(ctx context.Context, address string) (func(context.Context) error, error) {
			ln, err := s.Listen(ctx, address)
			return func(ctx context.Context) error { return s.Serve(ctx, ln) }, err
		},
		ledger: func() error { return tcpLedger(s.Stats()) },
		stats:  func() any { return s.Stats() },
	}
}

// tcpLedger says what does not add up where nothing runs.
func tcpLedger(st tcpserver.Stats) error {
	ended := st.Served + st.Failed + st.Panics + st.Unserved + st.Handshakes + st.Rejected + st.RejectedSource + st.Shed
	if st.Running+st.Handshaking+st.Idle+st.Lingering+st.Queue != 0 || st.Accepted != ended {
		return fmt.Errorf("%d of %d ended: %+v", ended, st.Accepted, st)
	}
	return nil
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

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"soak"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
