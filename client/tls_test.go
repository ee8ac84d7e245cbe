package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/simnet"
)

// certificate is one for those names, and the pool that trusts it.
func certificate(t *testing.T, names ...string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * time.Hour),
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestDialTLS(t *testing.T) {
	cert, pool := certificate(t, "localhost", "127.0.0.1")
	var asked string
	inner := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	serveLines(t, tls.NewListener(inner, &tls.Config{
		NextProtos: []string{"lines/2", "lines/1"},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			asked = h.ServerName
			return &cert, nil
		},
	}))
	_, port, _ := net.SplitHostPort(inner.Addr().String())
	tests := []struct {
		name    string
		address string
		config  *tls.Config
		asks    string // server name
		err     string
	}{
		{"name of the address", "localhost:" + port, &tls.Config{RootCAs: pool}, "localhost", ""},
		{"absolute name", "localhost.:" + port, &tls.Config{RootCAs: pool}, "localhost", ""},
		{"literal address", "127.0.0.1:" + port, &tls.Config{RootCAs: pool}, "", ""},
		{"own name", "127.0.0.1:" + port, &tls.Config{RootCAs: pool, ServerName: "localhost"}, "localhost", ""},
		{"wrong name", "127.0.0.1:" + port, &tls.Config{RootCAs: pool, ServerName: "other.example"}, "other.example", "other.example"},
		{"not trusted", "localhost:" + port, &tls.Config{RootCAs: x509.NewCertPool()}, "localhost", "TLS handshake: "},
		{"no common protocol", "localhost:" + port, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}, "localhost", "TLS handshake: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked = ""
			if tt.config.NextProtos == nil {
				tt.config.NextProtos = []string{"lines/1"}
			}
			before := tt.config.ServerName
			d := client.Dialer{TLS: tt.config}
			c, err := d.DialTCP(t.Context(), tt.address)
			if c != nil {
				defer c.Close()
			}
			if now := tt.config.ServerName; now != before {
				t.Errorf("the user's configuration was changed to %q", now)
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !sockets.NotSent(err) {
					t.Errorf("got %v, want %q in it", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			callHello(t, c)
			state := c.NetConn().(*tls.Conn).ConnectionState()
			if state.NegotiatedProtocol != "lines/1" || asked != tt.asks {
				t.Errorf("protocol %q, server name %q, want %q", state.NegotiatedProtocol, asked, tt.asks)
			}
		})
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A server that accepts and does not speak TLS: the dial ends with its time or its
// context, no connection is left, and the next address has its turn.
func TestDialTLSSilence(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		ln := must(w.server.Listen(t.Context(), "tcp", ":443"))(t)
		defer ln.Close()
		open := &counter{}
		d := w.dialer(client.Dialer{TLS: &tls.Config{}, Timeout: 3 * time.Second})
		d.DialContext = open.dial(d.DialContext)
		_, err := d.DialTCP(t.Context(), "10.0.0.2:443")
		if !sockets.IsTimeout(err) || w.now() != 3*time.Second || open.n.Load() != 0 || !strings.Contains(err.Error(), "TLS handshake: deadline") {
			t.Errorf("at %v: %v, %d open", w.now(), err, open.n.Load())
		}
		why := errors.New("lost interest")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*ms, func() { cancel(why) })
		_, err = d.DialTCP(ctx, "10.0.0.2:443")
		if !errors.Is(err, why) || w.now() != 3050*ms || open.n.Load() != 0 {
			t.Errorf("at %v: %v, %d open", w.now(), err, open.n.Load())
		}
	})
}

// Why a handshake failed, and what to do next.
func TestExplainTLS(t *testing.T) {
	cert, roots := certificate(t, "other.example")
	over := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	serveLines(t, tls.NewListener(over, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"a"}}))
	plain := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	var greeted sync.WaitGroup
	greeted.Go(func() {
		for nc, err := plain.Accept(); err == nil; nc, err = plain.Accept() {
			io.WriteString(nc, "220 ready\r\n")
			greeted.Go(func() { io.Copy(io.Discard, nc); nc.Close() })
		}
	})
	defer greeted.Wait()
	defer plain.Close()
	silent := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer silent.Close()
	for _, tt := range []struct {
		to     net.Listener
		config *tls.Config
		want   string
	}{
		{over, &tls.Config{RootCAs: roots}, "other names"},
		{over, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "other.example"}, "RootCAs"},
		{over, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"b"}}, "not agreed upon"},
		{plain, &tls.Config{}, "not in TLS"},
		{silent, &tls.Config{}, "does not answer in TLS"},
	} {
		d := client.Dialer{TLS: tt.config, Timeout: 5 * time.Second}
		if tt.to == silent {
			d.Timeout = 100 * ms
		}
		_, err := d.DialTCP(t.Context(), tt.to.Addr().String())
		if got := sockets.Explain(err); !strings.Contains(got, tt.want) {
			t.Errorf("%v: %s, want %q", err, got, tt.want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*ms, cancel)
	d := client.Dialer{TLS: &tls.Config{}}
	if _, err := d.DialTCP(gone, silent.Addr().String()); !strings.Contains(sockets.Explain(err), "cancelled it") {
		t.Errorf("%v: %s", err, sockets.Explain(err))
	}
}

// A server that leaves before TLS began may be restarting: that is tried again.
func TestDialTLSRetry(t *testing.T) {
	inWorld(t, simnet.Options{}, func(t *testing.T, w *world) {
		ln := must(w.server.Listen(t.Context(), "tcp", ":443"))(t)
		accepted := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				accepted++
				io.ReadFull(nc, make([]byte, 5))
				nc.(*simnet.Conn).CloseWrite()
				io.Copy(io.Discard, nc)
				nc.Close()
			}
		}()
		d := w.dialer(client.Dialer{TLS: &tls.Config{}, Retry: client.Retry{Attempts: 3}})
		_, err := d.DialTCP(t.Context(), "10.0.0.2:443")
		ln.Close()
		<-done
		if !errors.Is(err, io.EOF) || accepted != 3 {
			t.Errorf("%d connections: %v", accepted, err)
		}
	})
}
