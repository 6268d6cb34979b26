package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"time"
)

// Bank is a file of a teacher's embeddings of some views of each image, open for reading, so that the teacher leaves the
// loop. Its file is locked against [FillBank]. Any number of goroutines may use it at once.
type Bank struct {
	_      noCopy
	handle *handle[*C.seed_bank]
}

// BankProgress is one report of the filling of a bank.
type BankProgress struct {
	// Rows counts the rows that are finished, of earlier calls too.
	Rows uint64
	// TotalRows is the number of rows of the whole bank: views times images.
	TotalRows uint64
	// SkippedImages counts the images that could not be read so far.
	SkippedImages uint64
	// RowsPerSecond is the rate since the report before.
	RowsPerSecond float64
	// ETA is the estimated time to the last row.
	ETA time.Duration
	// Elapsed is the time since the call began.
	Elapsed time.Duration
	// WaitingShare is the share of the time since the report before in which the teacher waited for images, 0 to 1.
	WaitingShare float64
}

func bankProgressFrom(c *C.seed_bank_progress) BankProgress {
	return BankProgress{
		Rows:          uint64(c.rows),
		TotalRows:     uint64(c.total_rows),
		SkippedImages: uint64(c.skipped_images),
		RowsPerSecond: float64(c.rows_per_second),
		ETA:           seconds(float64(c.eta_seconds)),
		Elapsed:       seconds(float64(c.elapsed_seconds)),
		WaitingShare:  float64(c.waiting_share),
	}
}

// PredictBankSize is the size in bytes of the file of a bank of views of images, with dim numbers each: about
// images·views·(2·dim + 4). dim is the width of the teacher's embedding, times 1 + "small.count" where small views stand beside the
// large ones.
//
// Errors: [ErrInvalidArgument] for 0, above 2^32 − 1 images, 10^6 views or 2^22 numbers, or a size above 63 bits.
func PredictBankSize(images, views, dim uint64) (uint64, error) {
	if err := Init(); err != nil {
		return 0, err
	}
	var bytes C.uint64_t
	err := check(C.seed_bank_predict_size(C.uint64_t(images), C.uint64_t(views), C.uint64_t(dim), &bytes))
	return uint64(bytes), err
}

// FillBank fills the bank in the file path: "view_count" views of every image of dataset, seen by teacher. It begins a new
// file or goes on with the one that is there, to its end or for at least maxRows more rows (0: no limit). The whole file is
// reserved at the start. A kill at any moment costs a few seconds of work: the next call goes on from the last rows that are
// sound.
//
// progress (may be nil) receives a report every "progress_every" chunks of rows; how it and ctx end the filling is as for
// [Trainer.Run]. What is finished is kept.
//
// Errors: [ErrIO] when the disk is too small or full, [ErrMismatch] with the reason when the bank there is of another teacher,
// precision, data set, seed or of other views, [ErrFormat] when the file there is no bank, [ErrBusy] while it is open,
// [ErrUnsupported] for a stored teacher.
func FillBank(ctx context.Context, path string, config *Config, teacher *Teacher, dataset *Dataset, maxRows uint64,
	progress func(BankProgress) error) (Outcome, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return Cancelled, t.err
	}
	settings, err := config.inner().acquire()
	if err != nil {
		return Cancelled, err
	}
	defer config.handle.release()
	master, err := teacher.inner().acquire()
	if err != nil {
		return Cancelled, err
	}
	defer teacher.handle.release()
	images, err := dataset.inner().acquire()
	if err != nil {
		return Cancelled, err
	}
	defer dataset.handle.release()
	observer := callback{fill: progress}
	return observer.observe(ctx, func(handle C.uintptr_t, token *C.seed_cancel_token, outcome *C.int32_t) *C.seed_error {
		return C.seed_go_bank_fill(file, settings, master, images, C.uint64_t(maxRows), handle, token, outcome)
	})
}

// OpenBank opens the bank in the file path, finished or not. With a teacher, which may be nil, a bank of another one is
// refused. The header is checked now, rows when they are first used; Verify checks them all. The file must not be cut or
// written over by others while it is open.
//
// Errors: [ErrIO], [ErrFormat] for a damaged or hostile file, [ErrMismatch] for a stale bank, [ErrBusy] while it is being
// filled, [ErrUnsupported] for a teacher of embeddings, which fills no bank.
func OpenBank(path string, teacher *Teacher) (*Bank, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	var master *C.seed_teacher
	if teacher != nil {
		var err error
		if master, err = teacher.inner().acquire(); err != nil {
			return nil, err
		}
		defer teacher.handle.release()
	}
	h, err := create("Bank", func(object *C.seed_bank) { C.seed_bank_free(object) },
		func(out **C.seed_bank) *C.seed_error { return C.seed_bank_open(file, master, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Bank{handle: h}, h), nil
}

func (b *Bank) inner() *handle[*C.seed_bank] {
	if b == nil || b.handle == nil {
		return absent[*C.seed_bank]("Bank")
	}
	return b.handle
}

// Close closes the bank; teachers made of it, and their trainers, go on. The error is always nil.
func (b *Bank) Close() error {
	b.inner().close()
	return nil
}

// Verify reads all finished rows and compares their checksums: one pass over the file, at the disk's speed.
//
// Errors: [ErrFormat] naming the rows that are damaged; [FillBank] repairs them.
func (b *Bank) Verify() error {
	return with(b.inner(), func(object *C.seed_bank) *C.seed_error { return C.seed_bank_verify(object) })
}

// Rows tells how many rows are finished and how many the bank has.
func (b *Bank) Rows() (finished, total uint64, err error) {
	var made, all C.uint64_t
	err = with(b.inner(), func(object *C.seed_bank) *C.seed_error { return C.seed_bank_rows(object, &made, &all) })
	return uint64(made), uint64(all), err
}

// Dim is the width of an embedding; the student gets it too where "embedding_dim" is 0, the default.
func (b *Bank) Dim() (int, error) {
	var dim C.int64_t
	err := with(b.inner(), func(object *C.seed_bank) *C.seed_error { return C.seed_bank_dim(object, &dim) })
	return int(dim), err
}

// Images is the number of images that the bank was filled from.
func (b *Bank) Images() (int64, error) {
	var count C.int64_t
	err := with(b.inner(), func(object *C.seed_bank) *C.seed_error { return C.seed_bank_images(object, &count) })
	return int64(count), err
}

// Views is the number of views of each image; a run over the bank needs "view_count" set to it.
func (b *Bank) Views() (int64, error) {
	var count C.int64_t
	err := with(b.inner(), func(object *C.seed_bank) *C.seed_error { return C.seed_bank_views(object, &count) })
	return int64(count), err
}

// Header is what the bank holds, as JSON: teacher, precision, data set, seed, settings of the views.
func (b *Bank) Header() (string, error) {
	object, err := b.inner().acquire()
	if err != nil {
		return "", err
	}
	defer b.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_bank_header(object, buffer, capacity, length)
	})
}
