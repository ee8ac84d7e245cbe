package addr

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// maxName and maxLabel are the limits of RFC 1035, section 2.3.4, in the
// presentation form and without the dot at the end.
const (
	maxName  = 253
	maxLabel = 63
)

// parseName reads a host outside brackets, which begins the input: an IPv4
// address, or a name, for which the address is invalid.
func parseName(s string) (netip.Addr, *ParseError) {
	if err := checkChars(s); err != nil {
		return netip.Addr{}, err
	}
	name := strings.TrimSuffix(s, ".")
	if endsInNumber(name) {
		return parseIPv4(s)
	}
	if len(name) > maxName {
		return netip.Addr{}, fail(ReasonBadHost, maxName, "a host name has at most %d characters", maxName)
	}
	return netip.Addr{}, checkLabels(name)
}

// checkChars refuses what neither an address nor a name contains.
func checkChars(s string) *ParseError {
	for i, r := range s {
		switch {
		case r == '%':
			return fail(ReasonZone, i, "only an IPv6 address in brackets has a zone")
		case r >= utf8.RuneSelf:
			return fail(ReasonBadHost, i, "host %s is not ASCII", quote(s))
		case !isNameChar(byte(r)):
			return fail(ReasonBadHost, i, "a host name cannot contain %q", r)
		}
	}
	return nil
}

// isNameChar holds for letters, digits and hyphens (RFC 1123, section 2.1), for
// the dot between labels, and for the underscore, which DNS has in names of
// services and of some hosts.
func isNameChar(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
}

// checkLabels checks what stands between the dots.
func checkLabels(name string) *ParseError {
	at := 0
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return fail(ReasonBadHost, at, "a part of the host name is empty")
		case len(label) > maxLabel:
			return fail(ReasonBadHost, at, "a part of the host name is longer than %d characters", maxLabel)
		case label[0] == '-':
			return fail(ReasonBadHost, at, "a part of the host name begins with a hyphen")
		case label[len(label)-1] == '-':
			return fail(ReasonBadHost, at+len(label)-1, "a part of the host name ends with a hyphen")
		}
		at += len(label) + 1
	}
	return nil
}

// endsInNumber reports whether the last label is a number as C reads one, which
// no name of the DNS is and every form that inet_aton takes for an IPv4 address
// is. The URL standard draws the same line, without the binary and octal prefixes
// that C23 and its successor add to strtoul, and so to an inet_aton built on it.
func endsInNumber(name string) bool {
	label := name[strings.LastIndexByte(name, '.')+1:]
	if label == "" {
		return false
	}
	if leadingDigits(label) == len(label) {
		return true
	}
	if label[0] != '0' {
		return false
	}
	digits, ok := digitsOf[label[1]|0x20]
	return ok && strings.Trim(label[2:], digits) == ""
}

// digitsOf are the digits that may follow a 0 and the letter.
var digitsOf = map[byte]string{'x': "0123456789abcdefABCDEF", 'o': "01234567", 'b': "01"}

// parseIPv4 reads four decimal numbers, strictly: C reads a leading zero as
// octal, others as decimal.
func parseIPv4(s string) (netip.Addr, *ParseError) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip, nil
	}
	if strings.Count(s, ".") == 3 && strings.Trim(s, "0123456789.") == "" {
		return netip.Addr{}, fail(ReasonBadIP, badOctet(s), "%s is not an IPv4 address", quote(s))
	}
	return netip.Addr{}, fail(ReasonNumericHost, 0, "%s is a number, which resolvers read in different ways", quote(s))
}

// badOctet returns the offset of the first number that is not one of an IPv4
// address.
func badOctet(s string) int {
	at := 0
	for octet := range strings.SplitSeq(s, ".") {
		n, ok := parsePort(octet)
		if octet == "" || !ok || n > 255 || octet[0] == '0' && len(octet) > 1 {
			break
		}
		at += len(octet) + 1
	}
	return at
}
