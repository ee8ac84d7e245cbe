package udpserver_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"

	"example.com/sockets/udpserver"
)

// The address of a sender may be forged, and then the reply hits somebody who has
// asked for nothing: the larger it is, the better for the attacker. So nobody gets
// more than three times what he has sent, until he returns a cookie that only the
// owner of that address can have read. The server keeps no state: it computes the
// cookie again, of the address and a secret. (Of the hour too, if it should expire.)
func ExampleLimits() {
	secret := make([]byte, 32)
	rand.Read(secret)
	cookieFor := func(d *udpserver.Datagram) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(d.From.Addr().AsSlice())
		return mac.Sum(nil)[:8]
	}
	large := make([]byte, 1000)
	s := &udpserver.Server{
		Limits: udpserver.Limits{Rate: 100, ReplyFactor: 3},
		Handler: func(_ context.Context, d *udpserver.Datagram) error {
			cookie, isGet := bytes.CutPrefix(d.Data, []byte("get"))
			switch {
			case !isGet:
				return nil // what is no request gets no reply, not even an error
			case !hmac.Equal(cookie, cookieFor(d)):
				return d.Reply(cookieFor(d)) // 8 bytes for at least 3
			}
			d.Validate()
			return d.Reply(large) // before Validate this would be ErrBudget
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pc, err := s.ListenPacket(ctx, "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, pc) }()

	client, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	reply := make([]byte, 2000)
	fmt.Fprint(client, "get")
	n, _ := client.Read(reply)
	fmt.Println("a cookie of", n, "bytes")
	fmt.Fprintf(client, "get%s", reply[:n])
	n, _ = client.Read(reply)
	fmt.Println("with it", n, "bytes")

	stop()
	fmt.Println("stopped:", <-served)
	// Output:
	// a cookie of 8 bytes
	// with it 1000 bytes
	// stopped: <nil>
}
