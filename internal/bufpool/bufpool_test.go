package bufpool_test

import (
	"sync"
	"testing"
	"unsafe"

	"go.uber.org/goleak"

	"example.com/sockets/internal/bufpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGet(t *testing.T) {
	tests := []struct{ n, want int }{
		{-1, 4096}, {0, 4096}, {1, 4096}, {4096, 4096}, {4097, 8192}, {5000, 8192}, {8192, 8192},
		{1 << 19, 1 << 19}, {1<<20 - 1, 1 << 20}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 1}, {5 << 20, 5 << 20},
	}
	for _, tt := range tests {
		for range 3 {
			b := bufpool.Get(tt.n)
			if len(b.B) != tt.want {
				t.Errorf("Get(%d) has %d bytes, want %d", tt.n, len(b.B), tt.want)
			}
			b.B = b.B[:1] // a user may cut it
			b.Free()
		}
	}
	if bufpool.Min != 4096 {
		t.Errorf("Min is %d", bufpool.Min)
	}
}

// What is filed has the size of its class, whatever B was replaced by.
func TestFreeFilesBySize(t *testing.T) {
	for _, size := range []int{0, 1, 4095, 4097, 5000, 8191, 8192, 1 << 20, 3 << 20} {
		b := bufpool.Get(1)
		b.B = make([]byte, size)
		b.Free()
		for _, n := range []int{1, 4097, 1 << 20} {
			var all []*bufpool.Buffer
			for range 4 {
				got := bufpool.Get(n)
				if len(got.B) < n {
					t.Fatalf("after a buffer of %d came back Get(%d) has %d bytes", size, n, len(got.B))
				}
				all = append(all, got)
			}
			for _, b := range all {
				b.Free()
			}
		}
	}
}

// No two users have the same bytes.
func TestLoansAreApart(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 500 {
				a, b := bufpool.Get(n*20), bufpool.Get(n*20)
				if unsafe.SliceData(a.B) == unsafe.SliceData(b.B) {
					t.Error("one buffer twice")
				}
				a.B[0], b.B[0] = byte(i), byte(i+100)
				if a.B[0] != byte(i) || b.B[0] != byte(i+100) {
					t.Error("somebody else writes here")
				}
				a.Free()
				b.Free()
			}
		})
	}
	wg.Wait()
}
