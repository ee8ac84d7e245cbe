package addr

import (
	"context"
	"net/netip"
)

// ResolveWith is Resolve with another way to look up names.
func ResolveWith(ctx context.Context, t Transport, s string, lookup func(context.Context, string) ([]netip.Addr, error)) ([]Endpoint, error) {
	return resolve(ctx, t, s, lookup)
}

// Services calls f for each row of the table and each of its transports.
func Services(f func(name string, t Transport, port uint16)) {
	for _, s := range services {
		for _, t := range []Transport{TCP, UDP} {
			if s.over(t) {
				f(s.name, t, s.port)
			}
		}
	}
}
