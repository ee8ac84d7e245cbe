package udpio

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// zones knows the names of the interfaces that link-local addresses belong to.
// The system is asked again after a minute: interfaces come and go.
type zones struct {
	mu    sync.Mutex
	since time.Time
	names map[uint32]string
	index map[string]uint32
}

func newZones() *zones { return &zones{} }

// freshLocked forgets what is too old.
func (z *zones) freshLocked() {
	if z.names == nil || time.Since(z.since) > time.Minute {
		z.since = time.Now()
		z.names, z.index = make(map[uint32]string), make(map[string]uint32)
	}
}

func (z *zones) name(index uint32) string {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.freshLocked()
	name, ok := z.names[index]
	if !ok {
		name = strconv.FormatUint(uint64(index), 10)
		if i, err := net.InterfaceByIndex(int(index)); err == nil {
			name = i.Name
		}
		z.names[index] = name
	}
	return name
}

func (z *zones) number(name string) uint32 {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.freshLocked()
	index, ok := z.index[name]
	if !ok {
		n, _ := strconv.ParseUint(name, 10, 32)
		index = uint32(n)
		if i, err := net.InterfaceByName(name); err == nil {
			index = uint32(i.Index)
		}
		z.index[name] = index
	}
	return index
}

// addrPort reads the address that the system has written. Both families keep the
// port at the same place, in network order.
func (z *zones) addrPort(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	switch sa.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr), port)
	case unix.AF_INET6:
		a := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.Scope_id != 0 && a.Is6() {
			a = a.WithZone(z.name(sa.Scope_id))
		}
		return netip.AddrPortFrom(a, port)
	}
	return netip.AddrPort{}
}

// put writes to in the form of a socket of the given family, and returns its
// length, 0 if a socket of that family can't reach it.
func (z *zones) put(sa *unix.RawSockaddrInet6, to netip.AddrPort, family uint16) uint32 {
	a := to.Addr()
	if !a.IsValid() || family == unix.AF_INET && !a.Is4() {
		return 0
	}
	*sa = unix.RawSockaddrInet6{Family: family}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	if family == unix.AF_INET {
		(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)).Addr = a.As4()
		return unix.SizeofSockaddrInet4
	}
	sa.Addr = a.As16()
	if zone := a.Zone(); zone != "" {
		sa.Scope_id = z.number(zone)
	}
	return unix.SizeofSockaddrInet6
}
