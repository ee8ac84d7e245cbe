package mcast

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// nic is a network interface.
type nic struct {
	index    int
	name     string
	loopback bool
	v4       [4]byte // its first IPv4 address, zero if it has none
	v6       bool    // it has an IPv6 address
}

// chosen reports whether somebody has said which interfaces are meant.
func (o Options) chosen(group netip.Addr) bool {
	return len(o.Interfaces) > 0 || group.Zone() != ""
}

// members are the interfaces to join group on, never none.
func (o Options) members(group netip.Addr) ([]nic, error) {
	names := o.Interfaces
	if zone := group.Zone(); zone != "" {
		names = append([]string{zone}, names...)
	}
	all, err := findEach(names)
	switch {
	case err != nil:
		return nil, err
	case group.Zone() != "" && len(all) > 1:
		return nil, fmt.Errorf("the group's zone is interface %q, and Interfaces names %q: name one interface", all[0].name, all[1].name)
	case len(names) == 0:
		all, err = capable(group.Is6())
	}
	if err == nil && isOfLink(group) {
		all, err = single(all, len(names) > 0)
	}
	return all, err
}

// findEach finds the interfaces with these names, each once.
func findEach(names []string) (all []nic, err error) {
	for _, name := range names {
		n, err := find(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(a nic) bool { return a.index == n.index }) {
			all = append(all, n)
		}
	}
	return all, nil
}

// find finds the interface with this name or number.
func find(name string) (nic, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		index, bad := strconv.Atoi(name)
		if bad != nil {
			index = 0
		}
		i, err = net.InterfaceByIndex(index)
	}
	switch {
	case err != nil:
		return nic{}, fmt.Errorf("there is no interface %q%s", name, existing())
	case i.Flags&net.FlagUp == 0:
		return nic{}, fmt.Errorf("interface %q is down", name)
	case !canMulticast(i):
		return nic{}, fmt.Errorf("interface %q has no multicast", name)
	}
	return newNIC(i), nil
}

// canMulticast: Linux does not say so of the loopback interface, and lets it.
func canMulticast(i *net.Interface) bool { return i.Flags&(net.FlagMulticast|net.FlagLoopback) != 0 }

// existing says which names there are.
func existing() string {
	all, err := net.Interfaces()
	if err != nil || len(all) == 0 {
		return ""
	}
	var names []string
	for _, i := range all[:min(len(all), 8)] { // a host with containers may have hundreds
		names = append(names, strconv.Quote(i.Name))
	}
	if len(names) < len(all) {
		names = append(names, "...")
	}
	return ", but " + strings.Join(names, ", ")
}

func newNIC(i *net.Interface) nic {
	n := nic{index: i.Index, name: i.Name, loopback: i.Flags&net.FlagLoopback != 0}
	all, _ := i.Addrs() // without any it can still be joined on
	for _, a := range all {
		p, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		switch v4 := p.IP.To4(); {
		case v4 == nil:
			n.v6 = true
		case n.v4 == [4]byte{}:
			n.v4 = [4]byte(v4)
		}
	}
	return n
}

// capable are the interfaces that can be meant if none was named: those that are
// up, can multicast and have an address of the family, the loopback interface last.
func capable(v6 bool) (all []nic, err error) {
	found, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var last []nic
	for _, i := range found {
		if i.Flags&net.FlagUp == 0 || !canMulticast(&i) {
			continue
		}
		switch n := newNIC(&i); {
		case v6 && !n.v6, !v6 && n.v4 == [4]byte{}:
		case n.loopback:
			last = append(last, n)
		default:
			all = append(all, n)
		}
	}
	if all = append(all, last...); len(all) == 0 {
		return nil, errors.New("no interface that is up has multicast and an address of the group's family")
	}
	return all, nil
}

// isOfLink reports whether group is an IPv6 group of an interface or a link: there
// may be one of that address on each, and a socket is bound to that of one (RFC
// 4007, 6).
func isOfLink(group netip.Addr) bool {
	return group.IsInterfaceLocalMulticast() || group.Is6() && group.IsLinkLocalMulticast()
}

// single is the only interface that can be meant, which is not the loopback one
// where there is another.
func single(all []nic, named bool) ([]nic, error) {
	if !named && len(all) > 1 && all[1].loopback {
		return all[:1], nil
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("this group is another one on each link: say which, as in [ff02::1%%%s]:12000; a Server can serve a socket for each", all[0].name)
	}
	return all, nil
}
