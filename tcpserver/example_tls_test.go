package tcpserver_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/sockets"
	"example.com/sockets/client"
	"example.com/sockets/tcpserver"
)

// A server with a certificate that it made itself, and a client that trusts this one
// certificate. The handler finds the state of TLS under Conn.NetConn.
func ExampleServer_tls() {
	cert, err := selfMade("localhost") // see tls_helper_test.go; for 127.0.0.1 as well
	if err != nil {
		log.Fatal(err)
	}
	server := &tcpserver.Server{
		Logger: quiet,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			state := c.NetConn().(*tls.Conn).ConnectionState()
			return c.WriteMessage([]byte("you speak " + state.NegotiatedProtocol + " over " + tls.VersionName(state.Version)))
		},
		TLS: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"greeting"}},
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	dialer := &client.Dialer{TLS: &tls.Config{RootCAs: trust(cert), NextProtos: []string{"greeting"}}}
	c, err := dialer.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	greeting, err := c.ReadMessage()
	fmt.Printf("%s, %v\n", greeting, err)
	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// you speak greeting over TLS 1.3, <nil>
	// stopped: <nil>
}

// keyPair is a certificate in two files that may be renewed at any time. A pair that
// can't be read, or whose halves do not belong together because it is just being
// written, changes nothing.
type keyPair struct {
	certFile, keyFile string

	mu      sync.Mutex
	read    time.Time // of the newer file
	current *tls.Certificate
}

// get is for tls.Config.GetCertificate, which is called in each handshake.
func (p *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.changed()
	if p.current != nil && !changed.After(p.read) {
		return p.current, nil
	}
	cert, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	switch {
	case err == nil:
		p.current, p.read = &cert, changed
	case p.current == nil:
		return nil, err
	}
	return p.current, nil
}

func (p *keyPair) changed() (t time.Time) {
	for _, name := range []string{p.certFile, p.keyFile} {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(t) {
			t = info.ModTime()
		}
	}
	return t
}

// A certificate is renewed while the server runs: new connections get the new one, and
// as long as only one of its two files is there they get the old one. Connections that
// are open go on.
func ExampleServer_reload() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	pair := &keyPair{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	first, err := selfMade("first")
	if err != nil {
		log.Fatal(err)
	}
	second, err := selfMade("second")
	if err != nil {
		log.Fatal(err)
	}
	written := time.Now().Add(-time.Hour)
	write := func(name string, content []byte) { // as another program does, now and then
		written = written.Add(time.Minute)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			log.Fatal(err)
		}
		if err := os.Chtimes(name, written, written); err != nil {
			log.Fatal(err)
		}
	}
	cert, key, err := pemPair(first)
	if err != nil {
		log.Fatal(err)
	}
	write(pair.certFile, cert)
	write(pair.keyFile, key)

	server := &tcpserver.Server{
		Logger: quiet,
		Handler: tcpserver.Respond(func(_ context.Context, request []byte) ([]byte, error) {
			return bytes.ToUpper(request), nil
		}),
		TLS: &tls.Config{GetCertificate: pair.get},
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	dialer := &client.Dialer{TLS: &tls.Config{RootCAs: trust(first, second)}}
	dial := func(when string) *sockets.Conn {
		c, err := dialer.DialTCP(ctx, ln.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		leaf := c.NetConn().(*tls.Conn).ConnectionState().PeerCertificates[0]
		fmt.Printf("%s: %s\n", when, leaf.Subject.CommonName)
		return c
	}
	old := dial("at first")
	defer old.Close()
	if cert, key, err = pemPair(second); err != nil {
		log.Fatal(err)
	}
	write(pair.certFile, cert)
	dial("half-written").Close()
	write(pair.keyFile, key)
	dial("renewed").Close()
	reply, err := old.Call(ctx, []byte("still there?"))
	fmt.Printf("the old connection: %s, %v\n", reply, err)
	stop()
	<-done
	// Output:
	// at first: first
	// half-written: first
	// renewed: second
	// the old connection: STILL THERE?, <nil>
}

// A protocol that begins in the clear and goes over to TLS when the client asks, as
// SMTP, IMAP and LDAP do. Both ends upgrade between two messages; a line that came
// together with the request, in the clear, is an error and not taken for one of TLS.
func ExampleServer_upgrade() {
	cert, err := selfMade("localhost")
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	server := &tcpserver.Server{Logger: quiet, Handler: func(ctx context.Context, c *sockets.Conn) error {
		for line, err := range c.Messages() {
			if err != nil {
				return err
			}
			if string(line) != "STARTTLS" {
				_, secure := c.NetConn().(*tls.Conn)
				if err := c.WriteMessage(fmt.Appendf(nil, "%s (in secret: %v)", strings.ToUpper(string(line)), secure)); err != nil {
					return err
				}
				continue
			}
			if err := c.WriteMessage([]byte("go ahead")); err != nil {
				return err
			}
			err := c.Upgrade(ctx, func(nc net.Conn) (net.Conn, error) {
				over := tls.Server(nc, config)
				return over, over.HandshakeContext(ctx)
			})
			if err != nil {
				return err
			}
		}
		return nil
	}}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	c, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	say := func(line string) {
		reply, err := c.Call(ctx, []byte(line))
		fmt.Printf("%s, %v\n", reply, err)
	}
	say("hello")
	say("STARTTLS")
	err = c.Upgrade(ctx, func(nc net.Conn) (net.Conn, error) {
		over := tls.Client(nc, &tls.Config{RootCAs: trust(cert), ServerName: "localhost"})
		return over, over.HandshakeContext(ctx)
	})
	if err != nil {
		log.Fatal(err)
	}
	say("hello")
	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// HELLO (in secret: false), <nil>
	// go ahead, <nil>
	// HELLO (in secret: true), <nil>
	// stopped: <nil>
}

// Behind a load balancer that tells the client's address in a PROXY header: Prepare
// reads it, before TLS. See proxyHeader in tls_test.go for the 20 lines of version 1; a
// package such as pires/go-proxyproto knows both versions.
func ExampleServer_proxy() {
	server := &tcpserver.Server{
		Logger:  quiet,
		Prepare: proxyHeader,
		Handler: func(_ context.Context, c *sockets.Conn) error {
			return c.WriteMessage([]byte("hello, " + c.Remote().String()))
		},
		Limits: tcpserver.Limits{PerSource: 100}, // of the client, not of the balancer
	}
	ctx, stop := context.WithCancel(context.Background())
	ln, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(ctx, ln) }()

	balancer, err := client.DialTCP(ctx, ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer balancer.Close()
	greeting, err := balancer.Call(ctx, []byte("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r"))
	fmt.Printf("%s, %v\n", greeting, err)
	stop()
	fmt.Println("stopped:", <-done)
	// Output:
	// hello, 192.0.2.7:56324/tcp, <nil>
	// stopped: <nil>
}
