// Package simnet is a network in memory for tests and lessons: TCP and UDP that
// lose, delay and reorder on command, keep a trace, and run in virtual time.
//
//	synctest.Test(t, func(t *testing.T) {
//		net := simnet.New(simnet.Options{
//			Link:   simnet.Link{Latency: 10 * time.Millisecond},
//			Script: simnet.Script{simnet.Drop(2).From("receiver")}, // the second acknowledgement
//		})
//		pc, err := net.Host("receiver").ListenPacket(ctx, "udp", ":9000")
//		c, err := net.Host("sender").DialContext(ctx, "udp", "receiver:9000")
//		...
//		fmt.Print(net.Diagram())
//	})
//
// Listeners and connections are ordinary net.Listener, net.Conn and
// net.PacketConn values with ordinary addresses, and errors are the *net.OpError of
// the net package, so servers and clients run on it unchanged. Where only one
// machine matters use Listen, ListenPacket and DialContext of the Network itself
// with 127.0.0.1.
//
// # What is real and what is not
//
// Sockets behave as those of Linux do: what Read returns after a FIN, a RST or a
// deadline, when an error is told and how often, what a full accept queue or a
// missing UDP port does. A suite runs each case over the kernel and over simnet and
// compares. TCP retransmits with Linux's timeouts and gives up when Linux does.
//
// It is no model of congestion: there is no slow start, no fast retransmit and no
// Nagle; acknowledgements take their time but are never lost; connections leave no
// TIME_WAIT behind. There is no DNS but the hosts' names, no multicast, no ICMP
// besides "port unreachable", and IP packets are not fragmented.
//
// # The same run again
//
// Faults are decided by flow, direction, ordinal and seed, never by time, so a test
// that failed fails again. See [Network.Trace] for what that takes.
//
// # Real sockets and streams
//
// [Wrap] puts the same faults on a real UDP socket. [Torture] does to any stream
// what the network may do to it, to find code that takes one Read for one message.
package simnet
