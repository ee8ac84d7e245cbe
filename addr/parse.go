package addr

import (
	"fmt"
	"net/netip"
	"strings"
)

// Parse is a first, already strict reader of literals.
func Parse(t Transport, s string) (Endpoint, error) {
	ap, err := netip.ParseAddrPort(strings.TrimSuffix(s, "/"+t.String()))
	if err != nil {
		return Endpoint{}, err
	}
	e := FromAddrPort(t, ap)
	if !e.IsValid() {
		return Endpoint{}, fmt.Errorf("address %.64q: zone or transport", s)
	}
	return e, nil
}

// MustParse is Parse for addresses in the source; it panics on an error.
func MustParse(t Transport, s string) Endpoint {
	e, err := Parse(t, s)
	if err != nil {
		panic(err)
	}
	return e
}
