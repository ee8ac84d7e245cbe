package udpio_test

import "errors"

func setBroadcast(uintptr) error { return errors.ErrUnsupported }
