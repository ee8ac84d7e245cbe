package addr

import "strings"

// readPort decides what number the port is. Digits are read strictly, since
// readers disagree about what "080" or "+80" means.
func (p *parts) readPort() *ParseError {
	digits := leadingDigits(p.port)
	switch {
	case p.port == "":
		return fail(ReasonBadPort, p.portAt, "the port is empty")
	case digits < len(p.port):
		return p.readService(digits)
	case p.port[0] == '0' && digits > 1:
		return fail(ReasonBadPort, p.portAt, "port %s has a leading zero", quote(p.port))
	}
	number, ok := parsePort(p.port)
	if !ok {
		return fail(ReasonPortRange, p.portAt, "port %s is outside 0 to 65535", clip(p.port))
	}
	p.number = number
	return nil
}

// readService takes the port for a name; the first digits of it are digits.
func (p *parts) readService(digits int) *ParseError {
	if port, ok := Service(p.transport, p.port); ok {
		p.number = port
		return nil
	}
	if _, ok := Service(TCP+UDP-p.transport, p.port); ok {
		return fail(ReasonBadPort, p.portAt, "%s is not a service over %s", quote(p.port), p.transport)
	}
	return fail(ReasonBadPort, p.portAt+digits, "%s is neither a port number nor a known service name", quote(p.port))
}

// leadingDigits counts the ASCII digits that s begins with.
func leadingDigits(s string) int {
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i < 0 {
		return len(s)
	}
	return i
}

// parsePort reads digits, and reports whether they are in range.
func parsePort(digits string) (uint16, bool) {
	n := 0
	for _, d := range []byte(digits) {
		// Stopping here keeps any number of digits from overflowing.
		if n = n*10 + int(d-'0'); n > 65535 {
			return 0, false
		}
	}
	return uint16(n), true
}
