// Package tcpserver is a concurrent TCP server: one welcoming socket, and for each
// accepted connection a socket and a goroutine of its own.
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
//	defer stop()
//	err := tcpserver.ListenAndServe(ctx, "127.0.0.1:12000", tcpserver.Respond(
//		func(ctx context.Context, request []byte) ([]byte, error) {
//			return bytes.ToUpper(request), nil
//		}))
//
// Serve blocks; cancel its context to stop it. A stop lets what is under way
// finish and ends what is idle, and when Serve returns nothing that it started is
// left. A connection is idle while its handler waits for the first byte of a
// message, in ReadMessage, Messages or Await.
//
// The zero Server has a limit on connections, a timeout for writes to a peer that
// does not read, and a grace period for its stop. A handler that fails or panics
// ends its own connection and nothing else.
package tcpserver
