package simnet_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"example.com/sockets/simnet"
)

// upper is the textbook's service: it answers each line in capitals.
func upper(ln net.Listener) {
	c, err := ln.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		fmt.Fprintln(c, strings.ToUpper(lines.Text()))
	}
}

// A server gets a net.Listener, a client a net.Conn, and neither can tell that
// there is no wire.
func ExampleNetwork() {
	n := simnet.New(simnet.Options{})
	ln, err := n.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	go upper(ln)
	c, err := n.DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintln(c, "hello")
	answer, err := bufio.NewReader(c).ReadString('\n')
	fmt.Print(answer, err)
	// Output:
	// HELLO
	// <nil>
}

// A stream has no message borders. Code that believes in them works until it meets
// a network like this one.
func ExampleTorture() {
	n := simnet.New(simnet.Options{})
	ln, err := n.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ln.Close()
	client, err := n.DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	io.WriteString(client, "hello\r\nworld\r\n")
	client.Close()
	c := simnet.Torture(server, simnet.Chunks(4, 100), simnet.SplitCRLF())
	for b := make([]byte, 100); ; {
		n, err := c.Read(b)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", b[:n])
	}
	// Output:
	// "hell"
	// "o\r"
	// "\nwor"
	// "ld\r"
	// "\n"
	// EOF
}
