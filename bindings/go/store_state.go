package seed

// #include "bridge.h"
import "C"

import "context"

// StoreStats are what a store has done since it was opened, and holds.
type StoreStats struct {
	// Pushed counts the frames that were offered: the sum of Stored, Dropped, PassedOver, Failed and QueueFrames.
	Pushed uint64
	// Stored were written; some may have gone since.
	Stored uint64
	// Dropped found no room in the queue in time.
	Dropped uint64
	// PassedOver were not chosen by the reservoir or as novel.
	PassedOver uint64
	// Failed could not be encoded or written; the log says why.
	Failed uint64
	// Evicted have made room for others or were too old.
	Evicted uint64
	// QueueFrames wait for the store's thread.
	QueueFrames uint64
	// QueueBytes are the bytes of pixels that wait.
	QueueBytes uint64
	// Frames are in the store.
	Frames uint64
	// Bytes are what they count for against MaxBytes.
	Bytes uint64
	// FileBytes are those of the file and its write-ahead log.
	FileBytes uint64
}

// Stats tells what the store has done and holds. Cheap for the one that writes; a reader counts all frames.
func (s *Store) Stats() (StoreStats, error) {
	c := C.seed_store_stats{struct_size: C.sizeof_seed_store_stats}
	err := with(s.inner(), func(object *C.seed_store) *C.seed_error { return C.seed_store_stats_now(object, &c) })
	if err != nil {
		return StoreStats{}, err
	}
	return StoreStats{
		Pushed:      uint64(c.pushed),
		Stored:      uint64(c.stored),
		Dropped:     uint64(c.dropped),
		PassedOver:  uint64(c.passed_over),
		Failed:      uint64(c.failed),
		Evicted:     uint64(c.evicted),
		QueueFrames: uint64(c.queue_frames),
		QueueBytes:  uint64(c.queue_bytes),
		Frames:      uint64(c.frames),
		Bytes:       uint64(c.bytes),
		FileBytes:   uint64(c.file_bytes),
	}, nil
}

// Trouble is what keeps the store's thread from storing at the moment, a full disk say; empty when nothing does.
func (s *Store) Trouble() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_store_trouble(object, buffer, capacity, length)
	})
}

// CheckStore looks at every page of the store in the file path and decodes every image; others may use it meanwhile. progress (may
// be nil) receives how many frames of how many are done; it and ctx end the check as they end [Session.EmbedDataset], but a paused
// context does not pause it.
//
// Errors: [ErrFormat] with the number of problems and the first hundred of them; [ErrCancelled]; [ErrIO].
func CheckStore(ctx context.Context, path string, progress func(done, total int) error) error {
	if err := Init(); err != nil {
		return err
	}
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return t.err
	}
	return counted(ctx, watching(ctx, progress), func(handle C.uintptr_t, _ *C.seed_cancel_token) error {
		return check(C.seed_go_store_check(file, handle))
	})
}

// StoreRepair is what [RepairStore] did.
type StoreRepair struct {
	// Saved counts the frames in the new store.
	Saved uint64
	// Lost counts those that were damaged.
	Lost uint64
	// ListDamaged tells that the list of frames is itself damaged, so that nobody knows how many more there were.
	ListDamaged bool
}

// RepairStore copies every sound frame, with its number, label and embedding, from the store in the file path, which nobody writes
// to, into a new store in the file newPath. progress and ctx are as for [CheckStore].
//
// Errors: [ErrInvalidArgument] when newPath exists; [ErrBusy]; [ErrCancelled]; [ErrIO]; [ErrFormat] when the old store cannot even
// be opened.
func RepairStore(ctx context.Context, path, newPath string, progress func(done, total int) error) (StoreRepair, error) {
	if err := Init(); err != nil {
		return StoreRepair{}, err
	}
	var t texts
	defer t.free()
	from, to := t.add("path", path), t.add("newPath", newPath)
	if t.err != nil {
		return StoreRepair{}, t.err
	}
	var saved, lost C.uint64_t
	var damaged C.int32_t
	err := counted(ctx, watching(ctx, progress), func(handle C.uintptr_t, _ *C.seed_cancel_token) error {
		return check(C.seed_go_store_repair(from, to, handle, &saved, &lost, &damaged))
	})
	if err != nil {
		return StoreRepair{}, err
	}
	return StoreRepair{Saved: uint64(saved), Lost: uint64(lost), ListDamaged: damaged != 0}, nil
}
