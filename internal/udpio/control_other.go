//go:build !linux

package udpio

import "syscall"

// CanBatch reports whether there is an engine that moves many datagrams at once,
// and CanMeasure whether Memory tells anything.
const CanBatch, CanMeasure = false, false

// CanSource reports whether replies leave from the address that was asked, on a
// socket that is bound to all.
const CanSource = false

// controlSize is the room that the control messages of one datagram take.
const controlSize = 0

func enableControl(syscall.RawConn) bool { return false }

func mergeReceived(syscall.RawConn, bool) bool { return false }

func enableECN(syscall.RawConn) bool { return false }

func parseControl([]byte, *Packet) int { return 0 }

func isControlCut(int) bool { return false }

func appendControl([]byte, Route) []byte { return nil }

func sourceGone(error) bool { return false }

// Memory implements Conn.
func (s *single) Memory() Memory { return Memory{} }

// SetBuffers implements Conn. The net package does not tell how large they are,
// so that they might become smaller here.
func (s *single) SetBuffers(read, write int) {
	if s.udp != nil && read > 0 {
		_ = s.udp.SetReadBuffer(read)
	}
	if s.udp != nil && write > 0 {
		_ = s.udp.SetWriteBuffer(write)
	}
}

func openMulti(*single, bool) Conn { return nil }
