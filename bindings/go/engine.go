package seed

// #include "bridge.h"
import "C"

import (
	"fmt"
	"runtime/cgo"
	"unsafe"
)

// BatchFormat says how a [TeacherFunc] is shown images.
type BatchFormat int32

// The library's formats of batches.
const (
	// FloatNCHW: batches are (B, 3, H, W) floats, normalised by "mean" and "std".
	FloatNCHW BatchFormat = C.SEED_BATCH_FLOAT_NCHW
	// Uint8NHWC: batches are (B, H, W, 3) bytes: red, green and blue levels, exactly those that were normalised.
	Uint8NHWC BatchFormat = C.SEED_BATCH_UINT8_NHWC
)

// TeacherBatch is a batch for a [TeacherFunc]. Its slices and pointers are valid during the call only.
type TeacherBatch struct {
	// Count is B, at most "batch_size" of the run divided by "accumulation_steps"; a last batch may be smaller.
	Count int
	// Height is H.
	Height int
	// Width is W.
	Width int
	// Dim is D.
	Dim int
	// Floats are the images (B, 3, H, W) of FloatNCHW in main memory, to be read only; else nil.
	Floats []float32
	// Bytes are the images (B, H, W, 3) of Uint8NHWC in main memory, to be read only; else nil.
	Bytes []byte
	// Embeddings is where B·D numbers are expected, row after row; they are divided by their rows' lengths afterwards. Nil on
	// a CUDA device.
	Embeddings []float32
	// CUDA is the number of the CUDA device where the images are and the embeddings are expected; −1 in main memory.
	CUDA int
	// ImagesAddress is where the images begin, in main memory or on the device.
	ImagesAddress unsafe.Pointer
	// EmbeddingsAddress is where the embeddings are expected, in main memory or on the device.
	EmbeddingsAddress unsafe.Pointer

	batch *C.seed_teacher_batch
}

// TakeTensor hands out the images as a DLManagedTensorVersioned* of DLPack: whoever takes it calls its deleter, later too,
// and must not write to it. The second call gives nil. To be called during the TeacherFunc only.
func (b *TeacherBatch) TakeTensor() unsafe.Pointer {
	tensor := b.batch.tensor
	b.batch.tensor = nil
	return unsafe.Pointer(tensor)
}

// TeacherFunc fills the embeddings of a batch. An error fails the call that needed them, with [ErrCancelled] and the error's
// words; so does a panic.
type TeacherFunc func(batch *TeacherBatch) error

// Engine describes an engine of the application that computes embeddings.
type Engine struct {
	// Embed computes them. It runs on a goroutine of its own while the call that needs them waits, on several at once where
	// several calls use one teacher at the same time. It may call this package, but the trainer and bank it is called for
	// answer ErrBusy. On a CUDA device the images are there when it is called, and the embeddings must be there when it
	// returns: synchronise your stream.
	Embed TeacherFunc
	// Dim is the number of numbers an image, 1 to 65536.
	Dim int
	// Identity is a text that changes when the embeddings do, such as the engine's file and its hash: a bank of another
	// identity is stale, and a checkpoint is not resumed.
	Identity string
	// Format says how images are shown; 0: FloatNCHW.
	Format BatchFormat
	// OnDevice asks for batches on the CUDA device that "device" of the configuration names; else they are in main memory.
	OnDevice bool
}

// TeacherFromEngine makes a teacher of an engine of the application. It serves trainers, [FillBank] and sessions ("output"
// "embedding") as any other; with an engine that is slow, fill a bank once. "mean" and "std" of config must be the run's. The
// engine is kept until the teacher is closed and nothing that was made of it is left.
//
// Errors of the calls that use it: [ErrCancelled] when Embed fails; finished steps and rows of a bank stay, and another call
// goes on after them. [ErrMismatch] for a row of zeros, or with NaN or infinity.
//
// Errors: [ErrInvalidArgument] for an Embed that is nil, Dim out of bounds, an empty Identity or one of more than 1024 bytes,
// or an unknown Format.
func TeacherFromEngine(engine Engine, config *Config) (*Teacher, error) {
	if engine.Embed == nil {
		return nil, invalid("the engine's Embed is nil")
	}
	if engine.Format == 0 {
		engine.Format = FloatNCHW
	}
	device := C.int32_t(C.SEED_DEVICE_CPU)
	if engine.OnDevice {
		device = C.SEED_DEVICE_CUDA
	}
	var t texts
	defer t.free()
	identity := t.add("identity", engine.Identity)
	if t.err != nil {
		return nil, t.err
	}
	number := cgo.NewHandle(engine.Embed)
	teacher, err := newTeacher(config, func(settings *C.seed_config, out **C.seed_teacher) *C.seed_error {
		return C.seed_go_teacher_from_callback(C.uintptr_t(number), C.int64_t(engine.Dim), identity,
			C.int32_t(engine.Format), device, settings, out)
	})
	if err != nil {
		number.Delete()
	}
	return teacher, err
}

//export seedGoEmbed
func seedGoEmbed(c *C.seed_teacher_batch, number C.uintptr_t) C.int32_t {
	embed := cgo.Handle(number).Value().(TeacherFunc)
	batch := &TeacherBatch{
		Count: int(c.count), Height: int(c.height), Width: int(c.width), Dim: int(c.dim), CUDA: -1,
		ImagesAddress: c.images, EmbeddingsAddress: unsafe.Pointer(c.embeddings), batch: c,
	}
	if c.device == C.SEED_DEVICE_CPU {
		size := batch.Count * batch.Height * batch.Width * 3
		if BatchFormat(c.format) == FloatNCHW {
			batch.Floats = unsafe.Slice((*float32)(c.images), size)
		} else {
			batch.Bytes = unsafe.Slice((*byte)(c.images), size)
		}
		batch.Embeddings = unsafe.Slice((*float32)(unsafe.Pointer(c.embeddings)), batch.Count*batch.Dim)
	} else {
		batch.CUDA = int(c.device_index)
	}
	// Neither a panic nor a Goexit unwinds C's frames.
	observer := callback{}
	failed := observer.call(func() error { return embed(batch) })
	switch {
	case observer.panicked != nil:
		reason(c, fmt.Sprintf("it panicked: %v", observer.panicked.Value))
	case observer.exited:
		reason(c, "it ended its goroutine")
	case observer.err != nil:
		reason(c, observer.err.Error())
	}
	return failed
}

// reason writes why a batch failed to where C expects it, whole characters only.
func reason(c *C.seed_teacher_batch, text string) {
	if c.message_capacity == 0 {
		return
	}
	place := unsafe.Slice((*byte)(unsafe.Pointer(c.message)), int(c.message_capacity))
	end := min(len(text), len(place)-1)
	for end < len(text) && end > 0 && text[end]&0xc0 == 0x80 {
		end--
	}
	copy(place, text[:end])
	place[end] = 0
}

//export seedGoRelease
func seedGoRelease(number C.uintptr_t) {
	cgo.Handle(number).Delete()
}
