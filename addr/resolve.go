package addr

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Resolve reads the same syntax as [Split] and returns every address that the
// host has, each once, in the order in which a client should try them: that of
// RFC 6724, section 6. A literal address, or an empty host, is answered as
// [Parse] does, at once and whatever became of ctx; only a name is looked up,
// by [net.DefaultResolver].
//
// Resolve returns as soon as ctx ends. An error is a *[ParseError] for what is
// no address, without a lookup, and a *[ResolveError] for a name that was not
// resolved; without an error there is at least one endpoint.
//
// The order is the resolver's: the net package's own sorts by RFC 6724 with the
// source addresses that this machine would use, and the systems' resolvers,
// which it calls on some, do the same by their configuration (gai.conf).
func Resolve(ctx context.Context, t Transport, s string) ([]Endpoint, error) {
	return resolve(ctx, t, s, systemLookup)
}

// lookupFunc turns a name into its addresses, in order.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

func resolve(ctx context.Context, t Transport, s string, lookup lookupFunc) ([]Endpoint, error) {
	p, err := read(t, s)
	if err != nil {
		return nil, err
	}
	if p.literal() {
		return []Endpoint{p.endpoint()}, nil
	}
	if ctx.Err() != nil {
		return nil, interrupted(ctx, p.host)
	}
	ips, err := lookup(ctx, lookupName(p.host))
	if err != nil && ctx.Err() != nil {
		return nil, interrupted(ctx, p.host)
	}
	if err != nil {
		return nil, &ResolveError{Host: p.host, Err: err}
	}
	return p.endpoints(ips)
}

// endpoints puts the port to each address. Unmapping can make two alike.
func (p *parts) endpoints(ips []netip.Addr) ([]Endpoint, error) {
	all := make([]Endpoint, 0, len(ips))
	for _, ip := range ips {
		if e := Of(p.transport, ip, p.number); e.IsValid() && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, &ResolveError{Host: p.host, Err: errNoAddress}
	}
	return all, nil
}

// lookupName keeps "localhost." from becoming a question to a name server
// (RFC 6761, section 6.3): systems list the name without its dot.
func lookupName(host string) string {
	if strings.EqualFold(host, "localhost.") {
		return "localhost"
	}
	return host
}

// systemLookup reads net.DefaultResolver at each call, so that a program may
// replace it. LookupIPAddr is the variant that keeps zones.
func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	ips := make([]netip.Addr, 0, len(found))
	for _, f := range found {
		if ip, ok := netip.AddrFromSlice(f.IP); ok {
			ips = append(ips, ip.Unmap().WithZone(f.Zone))
		}
	}
	return ips, err
}
