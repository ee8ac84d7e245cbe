//go:build !unix && !windows

package mcast

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Bound says that a member is bound to its group, and hears nothing else.
const Bound = false

func open(context.Context, netip.AddrPort, nic) (*net.UDPConn, error) {
	return nil, errors.ErrUnsupported
}

func join(uintptr, netip.Addr, nic) error { return errors.ErrUnsupported }

func setOut(uintptr, bool, nic) error { return errors.ErrUnsupported }

func setTTL(uintptr, bool, int) error { return errors.ErrUnsupported }

func setLoop(uintptr, bool, bool) error { return errors.ErrUnsupported }

func loops(uintptr, bool) bool { return false }

func shared(uintptr) (bool, error) { return false, errors.ErrUnsupported }
