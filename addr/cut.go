package addr

import (
	"net/netip"
	"strings"
)

// parts is an address cut at its punctuation, and then, by read, understood.
type parts struct {
	host      string
	hostAt    int // offset of host in the input
	port      string
	portAt    int
	suffix    string // after the slash, "" if there is none
	suffixAt  int    // offset of the slash, or the length of the input
	bracketed bool

	ip        netip.Addr // invalid for a name
	number    uint16
	transport Transport
}

// cut finds host, port and suffix without judging what they contain.
func cut(s string) (parts, *ParseError) {
	if s[0] == '[' {
		return cutBracketed(s)
	}
	if err := foreign(s); err != nil {
		return parts{}, err
	}
	colon := strings.IndexByte(s, ':')
	if colon < 0 {
		return parts{}, fail(ReasonNoPort, len(s), "no port")
	}
	p := parts{host: s[:colon]}
	err := p.cutPort(s, colon+1)
	return p, err
}

// foreign recognises what is written for another reader: a URL, a network in
// front of an address, a login.
func foreign(s string) *ParseError {
	if i := schemeEnd(s); i > 0 {
		return fail(ReasonScheme, 0, "%s is not part of an address", quote(s[:i]))
	}
	if strings.Contains(s, "@") {
		return fail(ReasonUserinfo, 0, "a user is not part of an address")
	}
	if i := strings.IndexAny(s, "[]"); i >= 0 {
		return fail(ReasonBrackets, i, "misplaced bracket")
	}
	return nil
}

// schemeEnd returns the length of a scheme in front, with its punctuation. A
// network's name counts only when more than a port follows it: a host may be
// called "tcp".
func schemeEnd(s string) int {
	if i := strings.Index(s, "://"); i >= 0 {
		return i + len("://")
	}
	network, rest, _ := strings.Cut(s, ":")
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "unix", "unixgram", "unixpacket":
		if strings.HasPrefix(rest, "/") || strings.ContainsAny(rest, "@:") {
			return len(network) + 1
		}
	}
	return 0
}

// cutBracketed is cut for a host in brackets. A zone has no brackets, so the
// first closing one ends the host.
func cutBracketed(s string) (parts, *ParseError) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return parts{}, fail(ReasonBrackets, 0, "the bracket is not closed")
	}
	p := parts{host: s[1:end], hostAt: 1, bracketed: true}
	rest := s[end+1:]
	switch {
	case strings.Contains(p.host, "["):
		return p, fail(ReasonBrackets, 1+strings.IndexByte(p.host, '['), "brackets within brackets")
	case !strings.Contains(p.host, ":"):
		return p, fail(ReasonBrackets, 0, "brackets belong around an IPv6 address only")
	case rest == "":
		return p, fail(ReasonNoPort, len(s), "no port")
	case rest[0] != ':':
		return p, fail(ReasonBrackets, end+1, "after the bracket comes a colon and the port")
	}
	err := p.cutPort(s, end+2)
	return p, err
}

// cutPort cuts what follows the colon before offset at.
func (p *parts) cutPort(s string, at int) *ParseError {
	p.port, p.suffix, _ = strings.Cut(s[at:], "/")
	p.portAt, p.suffixAt = at, at+len(p.port)
	if i := strings.IndexByte(p.port, ':'); i >= 0 {
		return fail(ReasonColons, at+i, "too many colons")
	}
	if p.suffix == "" && p.suffixAt < len(s) {
		return fail(ReasonPath, p.suffixAt, "a slash after the port")
	}
	return nil
}

// agree settles the transport between the caller, who may leave it open with 0,
// and the suffix.
func (p *parts) agree(t Transport) *ParseError {
	p.transport = transportOf(p.suffix)
	exact := p.transport != 0 && p.transport.String() == p.suffix
	switch {
	case p.suffix == "" && t == 0:
		return fail(ReasonTransport, p.suffixAt, "the transport is missing")
	case p.suffix == "":
		p.transport = t
	case !exact && transportOf(strings.ToLower(p.suffix)) == 0:
		return fail(ReasonPath, p.suffixAt, "%s after the port", quote("/"+p.suffix))
	case !exact:
		return fail(ReasonTransport, p.suffixAt, "%s is neither \"/tcp\" nor \"/udp\"", quote("/"+p.suffix))
	case t != 0 && t != p.transport:
		return fail(ReasonTransport, p.suffixAt, "the address is for %s, %s is wanted", p.transport, t)
	}
	return p.checkTransport()
}

// checkTransport catches a caller's Transport that is none of the constants.
func (p *parts) checkTransport() *ParseError {
	if p.transport != TCP && p.transport != UDP {
		return fail(ReasonTransport, p.suffixAt, "transport %d is neither TCP nor UDP", uint8(p.transport))
	}
	return nil
}
