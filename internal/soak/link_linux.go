package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// device is what both ends of the link are called.
const device = "soak"

// What the link does to packets is what .ci/netns asks of netem, where the kernel has
// that.
const (
	lost, doubled, hurried = 0.05, 0.05, 0.1
	delay, spread          = 2 * time.Millisecond, time.Millisecond
	underWay               = 1000 // packets at most, as with netem
)

// connect joins two network namespaces by a device in each, and carries packets
// between them until the standard input ends.
func connect(names string) int {
	first, second, _ := strings.Cut(names, ",")
	ends := make(chan *os.File, 2)
	wrong := make(chan error, 2)
	for _, name := range []string{first, second} {
		go func() { // the thread ends with it: it is in another namespace for good
			runtime.LockOSThread()
			f, err := openDevice(name)
			ends <- f
			wrong <- err
		}()
	}
	a, b := <-ends, <-ends
	for range 2 {
		if err := <-wrong; err != nil {
			fmt.Println("-link:", err)
			return 1
		}
	}
	there, back := &way{from: a, to: b}, &way{from: b, to: a}
	var all sync.WaitGroup
	all.Go(there.carry)
	all.Go(back.carry)
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_, _ = a.Close(), b.Close()
	all.Wait()
	fmt.Printf("link: %v one way, %v the other\n", there, back)
	return 0
}

// openDevice makes the device in a namespace. Without a header before each packet the
// system completes the checksums and cuts long ones, as for a cable.
func openDevice(namespace string) (*os.File, error) {
	ns, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return nil, err
	}
	err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
	_ = ns.Close()
	if err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("TUNSETIFF", err)
	}
	return os.NewFile(uintptr(fd), namespace), nil
}

// way is one direction of the link.
type way struct {
	from, to                     *os.File
	packets, losses, twice, full atomic.Int64
	flying                       atomic.Int64
	late                         sync.WaitGroup
}

func (w *way) String() string {
	return fmt.Sprintf("%d packets, %d lost, %d doubled, %d found it full", w.packets.Load(), w.losses.Load(), w.twice.Load(), w.full.Load())
}

func (w *way) carry() {
	defer w.late.Wait()
	buf := make([]byte, 1<<16)
	for {
		n, err := w.from.Read(buf)
		if err != nil {
			return
		}
		w.packets.Add(1)
		copies := 1
		switch chance := rand.Float64(); {
		case chance < lost:
			w.losses.Add(1)
			copies = 0
		case chance < lost+doubled:
			w.twice.Add(1)
			copies = 2
		}
		for range copies {
			w.forward(bytes.Clone(buf[:n]))
		}
	}
}

// forward delivers a packet after a while, or at once, before those that wait.
func (w *way) forward(p []byte) {
	if rand.Float64() < hurried {
		_, _ = w.to.Write(p)
		return
	}
	if w.flying.Add(1) > underWay {
		w.flying.Add(-1)
		w.full.Add(1)
		return
	}
	w.late.Add(1)
	time.AfterFunc(delay-spread+rand.N(2*spread), func() {
		defer w.late.Done()
		defer w.flying.Add(-1)
		_, _ = w.to.Write(p) // a device that is down loses it
	})
}
