package addr

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxZone bounds a zone, which is an interface's name or number: the longest
// names, Windows' friendly ones, have up to 255 bytes.
const maxZone = 255

// validZone reports whether ip's zone, if it has one, survives being printed
// and parsed.
func validZone(ip netip.Addr) bool {
	zone := ip.Zone()
	return len(zone) <= maxZone && badZoneChar(zone) < 0
}

// badZoneChar returns the offset of the first character that no zone may have,
// or -1. Friendly names contain spaces and letters of any language, so the rule
// excludes only what cannot be shown, what no system allows in the name of an
// interface, and brackets. A space at an end cannot be seen, and is in no name.
func badZoneChar(zone string) int {
	for i, r := range zone {
		_, size := utf8.DecodeRuneInString(zone[i:])
		broken := r == utf8.RuneError && size == 1
		edge := r == ' ' && (i == 0 || i == len(zone)-1)
		if broken || edge || !unicode.IsPrint(r) || strings.ContainsRune("[]%/:", r) {
			return i
		}
	}
	return -1
}

// parseIPv6 reads what stands between brackets, at offset at of the input.
func parseIPv6(s string, at int) (netip.Addr, *ParseError) {
	text, zone, zoned := strings.Cut(s, "%")
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ip, fail(ReasonBadIP, at, "%s is not an IPv6 address", quote(text))
	}
	if !zoned {
		return ip, nil
	}
	zoneAt := at + len(text) + 1
	switch bad := badZoneChar(zone); {
	case ip.Is4In6():
		return ip, fail(ReasonZone, zoneAt-1, "an IPv4 address has no zone")
	case zone == "":
		return ip, fail(ReasonZone, zoneAt, "the zone is empty")
	case bad >= 0:
		return ip, fail(ReasonZone, zoneAt+bad, "a zone cannot have this character here")
	case len(zone) > maxZone:
		return ip, fail(ReasonZone, zoneAt, "a zone of %d bytes is longer than any interface's name", len(zone))
	}
	return ip.WithZone(zone), nil
}
