// Package addr is about the address of a process: a transport, an IP address
// and a port, as one small value.
//
//	e, err := addr.Parse(addr.TCP, "[::1]:http")
//	fmt.Println(e, e.Port(), e.Reach()) // [::1]:80/tcp 80 this machine only
//
// An [Endpoint] is comparable, so it can be the key of a map of peers, and
// prints as the same text that it is read from. A [Flow] is two of them and
// identifies a connection.
//
// # Texts
//
// [Parse] reads addresses, [Split] names too, and [Resolve] looks names up. The
// syntax is strict and the same on every system. Resolvers are not: for one of
// them 010.0.0.1 is no address, for another it is 8.0.0.1, and 2130706433 is
// 127.0.0.1. What one program checks and another connects to must not differ,
// so none of these texts is accepted, and none reaches a resolver. The price
// of strictness is paid back in messages: a [ParseError] says what is wrong and
// where, and mostly what was meant.
//
// # Classes
//
// [Endpoint.Class] gives the special purpose of an address by the IANA
// registries, seeing through the forms that carry an IPv4 address in an IPv6
// one. For "may this program be made to connect there?" the question to ask is
// [Endpoint.IsGlobal], about the address that is really dialled.
//
// All functions and values are safe for use by many goroutines.
package addr
