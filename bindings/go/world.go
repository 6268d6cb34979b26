package seed

// #include "bridge.h"
import "C"

import "time"

// World is several processes that make one run together, of which this is one. One trainer at a time works with it.
type World struct {
	_      noCopy
	handle *handle[*C.seed_world]
}

// JoinWorld joins, as rank of size processes, those that give the same address, and waits until all have joined. The address is
// "host:port" of rank 0, which listens there, an address of its machine that the others can reach; or "file:PATH" for processes of
// one machine: rank 0 chooses a free port and writes it to that file. Further ports are the system's choice. Nothing is encrypted
// and nobody is asked for a password: use it in a network that you trust.
//
// The timeout (0: ten minutes) is how long the others are waited for, here and whenever an answer of theirs is needed.
//
// Errors: [ErrInvalidArgument] for a rank, size or address that cannot be, and a rank that another process has; [ErrMismatch] where
// processes disagree about the size or run different versions of the library; [ErrIO] where the address cannot be listened at or
// reached, and where not all have joined in time.
func JoinWorld(rank, size uint32, address string, timeout time.Duration) (*World, error) {
	if timeout < 0 || (timeout > 0 && timeout < time.Millisecond) {
		return nil, invalid("the timeout is %v, expected 0 or a millisecond at least", timeout)
	}
	var t texts
	defer t.free()
	place := t.add("address", address)
	if t.err != nil {
		return nil, t.err
	}
	h, err := create("World", func(object *C.seed_world) { C.seed_world_free(object) },
		func(out **C.seed_world) *C.seed_error {
			return C.seed_world_new(C.uint32_t(rank), C.uint32_t(size), place, C.uint64_t(timeout.Milliseconds()), out)
		})
	if err != nil {
		return nil, err
	}
	return owned(&World{handle: h}, h), nil
}

func (w *World) inner() *handle[*C.seed_world] {
	if w == nil || w.handle == nil {
		return absent[*C.seed_world]("World")
	}
	return w.handle
}

// Position is the rank of this process and the number of processes.
func (w *World) Position() (rank, size uint32, err error) {
	var own, all C.uint32_t
	err = with(w.inner(), func(object *C.seed_world) *C.seed_error { return C.seed_world_position(object, &own, &all) })
	return uint32(own), uint32(all), err
}

// Close leaves the others. A trainer that was given the world keeps it until it is closed itself. The error is always nil.
func (w *World) Close() error {
	w.inner().close()
	return nil
}

// SetWorld makes the run together with the same run in the other processes of world: from now on all of them call Run at once, with the
// same number of steps. "batch_size" is the number of images of a step over all processes, each of which takes its equal share; rank 0
// writes checkpoints and event files, and all resume from the same checkpoint. A process that cancels, pauses or fails does so for all.
//
// Errors: [ErrInvalidArgument] for a trainer with a world or without a data set, and where "batch_size" is no multiple of the number of
// processes; [ErrUnsupported] for methods but "seed", "l2" and "binary_contrastive", and on a GPU. Run gives [ErrMismatch] on every
// process where their runs are not the same, and [ErrIO] where the others are gone; then the trainer takes a new world.
func (t *Trainer) SetWorld(world *World) error {
	object, err := world.inner().acquire()
	if err != nil {
		return err
	}
	defer world.handle.release()
	return with(t.inner(), func(trainer *C.seed_trainer) *C.seed_error { return C.seed_trainer_set_world(trainer, object) })
}
