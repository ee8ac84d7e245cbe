// Package client is the other end of tcpserver and udpserver, and of every
// server that speaks TCP, TLS, unix sockets or UDP: it dials, calls, and says
// what became of a call.
//
// The package's one idea is certainty. A call that fails names both ends, says
// how often it was tried, and tells apart, by sockets.NotSent, what was
// certainly not executed from what may have been. Nothing that may have been
// executed is repeated, except a UDP request, whose repetition is the point of
// UDP.Call.
//
//	conn, err := client.DialTCP(ctx, "localhost:12000") // a *sockets.Conn: lines, by default
//	reply, err := conn.Call(ctx, []byte("hello"))
//
//	pool := &client.Pool{Address: "localhost:12000"} // many callers, as many connections as they need
//	reply, err := pool.Call(ctx, []byte("hello"))
//
//	udp, err := client.DialUDP(ctx, "localhost:12000")
//	reply, err := udp.Call(ctx, []byte("hello")) // sent again until it is answered
//
// Take the first that fits: a Conn for a dialogue, a Pool for many callers or for a
// connection that comes back, a Pipeline where round trips are long and the
// protocol allows requests to overtake replies, UDP for single datagrams.
//
// Addresses are "host:port", with a name, an IPv4 address or an IPv6 address in
// brackets as the host, and a number or a service name as the port. DialTCP
// takes "unix:/path" and "unix:@name" too. All addresses of a name are tried.
//
// # What NotSent proves
//
// A call was not sent if it ended before its request was given to the connection,
// or if a *net.TCPConn or *net.UnixConn took no byte of it; a UDP call, if every
// write failed. A TLS record may have left in part when its write fails, and nobody
// knows what another connection of Dialer.DialContext does: there a request whose
// write was begun may have been executed.
//
// # What UDP does not promise
//
// A datagram may be lost, and so may its reply: a call without an answer may
// have been executed, and one that was sent twice may have been executed twice.
// It may arrive twice or late, so that a reply has to be told from an older one:
// see Dialer.Match. It is at most 65,507 bytes long over IPv4, and one that does
// not fit into a packet of the path (about 1,400 bytes) is lost more easily.
package client
