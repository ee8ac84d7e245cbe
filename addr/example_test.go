package addr_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"example.com/sockets/addr"
)

func ExampleParse() {
	for _, s := range []string{"[::1]:http", "127.0.0.1:80/tcp", "[::ffff:127.0.0.1]:80", "::1:80", "010.0.0.1:80"} {
		fmt.Println(addr.Parse(addr.TCP, s))
	}
	// Output:
	// [::1]:80/tcp <nil>
	// 127.0.0.1:80/tcp <nil>
	// 127.0.0.1:80/tcp <nil>
	// invalid endpoint address "::1:80": too many colons; did you mean "[::1]:80"?
	// invalid endpoint address "010.0.0.1:80": "010.0.0.1" is not an IPv4 address; write four numbers from 0 to 255 without leading zeros, or an IPv6 address in brackets
}

func ExampleParseError() {
	_, _, err := addr.Split(addr.TCP, "localhost")
	if e, ok := errors.AsType[*addr.ParseError](err); ok {
		fmt.Println(e.Reason, "at byte", e.Offset)
		fmt.Println(e.Hint)
	}
	fmt.Println(errors.Is(err, addr.ReasonNoPort))
	// Output:
	// no port at byte 9
	// write "localhost:12000", or port 0 to listen at one that is free
	// true
}

func ExampleSplit() {
	host, port, err := addr.Split(addr.TCP, "mail.example.com:submission")
	fmt.Println(host, port, err)
	// Output: mail.example.com 587 <nil>
}

func ExampleResolve() {
	// A name would be looked up; a literal address never is.
	all, err := addr.Resolve(context.Background(), addr.UDP, "[::1]:domain")
	fmt.Println(all, err)
	// Output: [[::1]:53/udp] <nil>
}

// Both ends of a connection know it by the same two endpoints.
func ExampleFlow() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	here, there := flowOf(client), flowOf(server)
	fmt.Println(here == addr.Flow{Local: there.Remote, Remote: there.Local})
	fmt.Println(here.Remote.Addr(), here.Remote.Transport(), here.Remote.Reach())
	// Output:
	// true
	// 127.0.0.1 tcp this machine only
}

func flowOf(c net.Conn) addr.Flow {
	local, _ := addr.From(c.LocalAddr())
	remote, _ := addr.From(c.RemoteAddr())
	return addr.Flow{Local: local, Remote: remote}
}

// A policy for addresses that come from somebody else.
func ExampleEndpoint_IsGlobal() {
	for _, s := range []string{"8.8.8.8:80", "127.0.0.1:80", "100.64.0.1:80", "[64:ff9b::7f00:1]:80", "169.254.169.254:80"} {
		e := addr.MustParse(addr.TCP, s)
		fmt.Println(e, e.IsGlobal(), e.Class())
	}
	// Output:
	// 8.8.8.8:80/tcp true global
	// 127.0.0.1:80/tcp false loopback
	// 100.64.0.1:80/tcp false shared
	// [64:ff9b::7f00:1]:80/tcp false loopback
	// 169.254.169.254:80/tcp false link-local
}

// A server bound to every interface is dialled on loopback.
func ExampleEndpoint_Dialable() {
	e := addr.MustParse(addr.TCP, "0.0.0.0:12000")
	fmt.Println(e.Reach())
	fmt.Println(e.Dialable())
	// Output:
	// every interface, over IPv4
	// 127.0.0.1:12000/tcp
}

func ExampleEndpoint_MarshalText() {
	config := struct{ Listen addr.Endpoint }{addr.MustParse(addr.UDP, "[::1]:53")}
	doc, _ := json.Marshal(config)
	fmt.Println(string(doc))

	err := json.Unmarshal([]byte(`{"Listen": "127.0.0.1:tftp/udp"}`), &config)
	fmt.Println(config.Listen, err)
	// Output:
	// {"Listen":"[::1]:53/udp"}
	// 127.0.0.1:69/udp <nil>
}
