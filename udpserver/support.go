package udpserver

import (
	"example.com/sockets/internal/listen"
	"example.com/sockets/internal/mcast"
	"example.com/sockets/internal/udpio"
)

// Support is what the system does for a server's sockets. All of it is there on
// Linux. Where something is missing a server works without it.
type Support struct {
	// Asked: on a socket that is bound to every address of the host Datagram.To
	// and Interface are known, and a Reply leaves from the address that was
	// asked. Without it To is the wildcard, the system chooses the source of a
	// reply by its routes, and a client of a host with several addresses may
	// not recognise it: bind a socket to each address there.
	Asked bool
	// ECN: Datagram.ECN is known if Server.ECN is set.
	ECN bool
	// Batch: there is an EngineBatch. How much of EngineTrains there is depends
	// on the version of the system too.
	Batch bool
	// Sockets: Server.Sockets can be more than one.
	Sockets bool
	// Members: a socket that ListenPacket has made a member of a multicast
	// group hears that group and nothing else. Without it such a socket hears
	// what comes to its port, whatever address was meant.
	Members bool
	// Memory: Stats.KernelDropped, ReadBuffer, WriteBuffer, Waiting and Limit
	// are known, and a buffer that was not granted is reported.
	Memory bool
}

// Supported returns what this system does. The answer is always the same.
func Supported() Support {
	return Support{
		Asked: udpio.CanSource, ECN: udpio.CanSource, Batch: udpio.CanBatch,
		Sockets: listen.Groups, Members: mcast.Bound, Memory: udpio.CanMeasure,
	}
}
