module example.com/sockets/internal/interop/nettest

go 1.26.0

require example.com/sockets v0.0.0

require golang.org/x/net v0.62.0

require (
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
)

replace example.com/sockets => ../../..
