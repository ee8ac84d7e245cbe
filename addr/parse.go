package addr

import (
	"net/netip"
	"unicode"
)

// maxInput is over the length of every valid address: a host name has at most
// 253 bytes, an IPv6 address with its zone 295.
const maxInput = 512

// Parse reads the literal address of a process: an IPv4 address, or an IPv6
// address in brackets, with its zone if it has one; a colon; a port number from
// 0 to 65535 or the name of a service of t (see [Service]); and perhaps the
// suffix "/tcp" or "/udp", which must agree with t. With t 0 the suffix must be
// there, and decides.
//
//	127.0.0.1:80   127.0.0.1:http   [::1]:80   [fe80::1%eth0]:53/udp   :80
//
// An empty host, as in ":80", is the wildcard [::], which on most systems
// stands for the IPv4 addresses too. An IPv4-mapped address is unmapped. Every
// other IPv6 address may have a zone, which is kept as it is written, except
// that characters which cannot be printed, any of "[]%/:", and a space at either
// end are refused, as are zones of more than 255 bytes.
//
// Parse is strict and never asks a resolver: there is one reading of each text
// on every system, or none. Numbers with leading zeros, short and hexadecimal
// IPv4 forms, spaces and signs are errors, and so is a host name: see [Split]
// and [Resolve]. Every error is a *[ParseError]. Success allocates nothing,
// except when a zone is seen for the first time.
func Parse(t Transport, s string) (Endpoint, error) {
	p, err := read(t, s)
	if err == nil && !p.literal() {
		err = fail(ReasonNotLiteral, 0, "%s is a name, not an IP address", quote(p.host)).about(t, s)
	}
	if err != nil {
		return Endpoint{}, err
	}
	return p.endpoint(), nil
}

// MustParse is [Parse] for addresses in the source of a program: it panics
// where Parse returns an error.
func MustParse(t Transport, s string) Endpoint {
	e, err := Parse(t, s)
	if err != nil {
		panic(err)
	}
	return e
}

// Split reads the same syntax as [Parse] with host names allowed, and returns
// the host without its brackets, as it is written, and the number of the port.
// The host is "" for the wildcard. A name follows RFC 1123, with underscores
// allowed as DNS does; one dot at its end, which makes it absolute, is kept;
// names in other scripts are refused in favour of their ASCII form (xn--...).
// A name that ends in a number, such as 1.2.3, 0x7f.1 or 2130706433, is refused
// too: resolvers disagree whether these are IPv4 addresses, and which.
//
// Split never asks a resolver. Every error is a *[ParseError].
func Split(t Transport, s string) (host string, port uint16, err error) {
	p, perr := read(t, s)
	if perr != nil {
		return "", 0, perr
	}
	return p.host, p.number, nil
}

// literal reports whether the host needs no lookup.
func (p *parts) literal() bool { return p.ip.IsValid() }

// endpoint returns the address of literal parts.
func (p *parts) endpoint() Endpoint { return Of(p.transport, p.ip, p.number) }

// read is the one entrance to the syntax: it cuts and checks all of s, and
// completes the error. Transport 0 leaves it to the suffix.
func read(t Transport, s string) (parts, error) {
	p, err := readParts(t, s)
	if err != nil {
		return parts{}, err.about(t, s)
	}
	return p, nil
}

// readParts is read without the hint, which is itself found by reading repaired
// texts.
func readParts(t Transport, s string) (parts, *ParseError) {
	if err := screen(s); err != nil {
		return parts{}, err
	}
	p, err := cut(s)
	if err == nil {
		err = p.agree(t)
	}
	if err == nil {
		err = p.readPort()
	}
	if err == nil {
		err = p.readHost()
	}
	return p, err
}

// screen refuses what is no candidate at all, before anything looks closer.
func screen(s string) *ParseError {
	if s == "" {
		return fail(ReasonEmpty, 0, "the address is empty")
	}
	if len(s) > maxInput {
		return fail(ReasonTooLong, maxInput, "longer than any address")
	}
	for i, r := range s {
		if unicode.IsControl(r) {
			return fail(ReasonControl, i, "byte %d is a control character", i)
		}
	}
	return nil
}

// readHost decides what the host is: nothing, an address or a name.
func (p *parts) readHost() (err *ParseError) {
	switch {
	case p.bracketed:
		p.ip, err = parseIPv6(p.host, p.hostAt)
	case p.host == "":
		p.ip = netip.IPv6Unspecified()
	default:
		p.ip, err = parseName(p.host)
	}
	return err
}
