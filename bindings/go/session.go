package seed

// #include "bridge.h"
import "C"

import (
	"context"
	"image"
	"unsafe"
)

// Session is a snapshot of a network that turns images into vectors. It changes by Swap only; any number of goroutines may
// use it at once.
type Session struct {
	_      noCopy
	handle *handle[*C.seed_session]
}

// OpenSession opens a student file. Input size, mean and std are the file's; "device", "precision", "output" and "workers"
// come from config. Opening tries out the fastest way to compute, some tens of forward passes.
func OpenSession(path string, config *Config) (*Session, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newSession(config, func(settings *C.seed_config, out **C.seed_session) *C.seed_error {
		return C.seed_session_open(file, settings, out)
	})
}

// SessionFromStudent makes a session of a student's weights as they are now; the student may go on learning. Input size,
// mean and std are the student's.
func SessionFromStudent(student *Student, config *Config) (*Session, error) {
	object, err := student.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer student.handle.release()
	return newSession(config, func(settings *C.seed_config, out **C.seed_session) *C.seed_error {
		return C.seed_session_from_student(object, settings, out)
	})
}

// SessionFromTeacher makes a session of a teacher. Image size, mean and std come from config.
func SessionFromTeacher(teacher *Teacher, config *Config) (*Session, error) {
	object, err := teacher.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer teacher.handle.release()
	return newSession(config, func(settings *C.seed_config, out **C.seed_session) *C.seed_error {
		return C.seed_session_from_teacher(object, settings, out)
	})
}

func newSession(config *Config, construct func(*C.seed_config, **C.seed_session) *C.seed_error) (*Session, error) {
	settings, err := config.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer config.handle.release()
	h, err := create("Session", func(object *C.seed_session) { C.seed_session_free(object) },
		func(out **C.seed_session) *C.seed_error { return construct(settings, out) })
	if err != nil {
		return nil, err
	}
	return owned(&Session{handle: h}, h), nil
}

func (s *Session) inner() *handle[*C.seed_session] {
	if s == nil || s.handle == nil {
		return absent[*C.seed_session]("Session")
	}
	return s.handle
}

// Close releases the session once the calls that use it have ended. The error is always nil.
func (s *Session) Close() error {
	s.inner().close()
	return nil
}

// Warnings is what you should know about the session although nothing failed, such as frames of which much is cut away.
func (s *Session) Warnings() ([]string, error) {
	return warnings(s.inner(), func(object *C.seed_session, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_session_warnings(object, buffer, capacity, length)
	})
}

// Describe says how the session computes, for a person: "cpu, bfloat16, 8 images at once".
func (s *Session) Describe() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_session_describe(object, buffer, capacity, length)
	})
}

// Engine says what runs the session's network, and why it was taken: "libtorch: the setting "engine" is "libtorch"".
func (s *Session) Engine() (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_session_engine(object, buffer, capacity, length)
	})
}

// Dim is D, the number of floats that one image gives.
func (s *Session) Dim() (int, error) {
	var dim C.int64_t
	err := with(s.inner(), func(object *C.seed_session) *C.seed_error { return C.seed_session_dim(object, &dim) })
	return int(dim), err
}

// ParameterCount is the number of parameters, head included.
func (s *Session) ParameterCount() (int64, error) {
	var count C.int64_t
	err := with(s.inner(), func(object *C.seed_session) *C.seed_error {
		return C.seed_session_parameter_count(object, &count)
	})
	return int64(count), err
}

// Swap exchanges what two sessions run, between two calls: a running station takes a newly distilled student, and other then
// holds the old one. The same call again goes back. Calls under way finish with what they began with; nothing waits.
// "workers" stays with each session.
//
// Errors: [ErrMismatch] when their vectors differ in length or kind, since what they are compared with would no longer fit;
// both are left as they were.
func (s *Session) Swap(other *Session) error {
	second, err := other.inner().acquire()
	if err != nil {
		return err
	}
	defer other.handle.release()
	return with(s.inner(), func(object *C.seed_session) *C.seed_error { return C.seed_session_swap(object, second) })
}

// Embed gives the vectors of images of any sizes, one row each.
func (s *Session) Embed(images ...image.Image) (Embeddings, error) {
	frames, err := framesOf(images)
	if err != nil {
		return Embeddings{}, err
	}
	return s.EmbedFrames(frames...)
}

// EmbedFrames is Embed for raw pixels.
func (s *Session) EmbedFrames(frames ...Frame) (Embeddings, error) {
	dim, err := s.Dim()
	if err != nil {
		return Embeddings{}, err
	}
	vectors := Embeddings{Values: make([]float32, len(frames)*dim), Dim: dim}
	if _, err := s.EmbedInto(vectors.Values, frames...); err != nil {
		return Embeddings{}, err
	}
	return vectors, nil
}

// EmbedInto writes the vectors of frames to the application's memory and gives how many numbers it wrote:
// len(frames)·Dim. On an error buffer is left as it was.
//
// Errors: [ErrBufferTooSmall].
func (s *Session) EmbedInto(buffer []float32, frames ...Frame) (int, error) {
	array, unpin, err := views(frames)
	if err != nil {
		return 0, err
	}
	defer unpin()
	if buffer == nil {
		// NULL would ask for the size.
		buffer = []float32{}
	}
	var length C.size_t
	err = with(s.inner(), func(object *C.seed_session) *C.seed_error {
		return C.seed_session_embed(object, unsafe.SliceData(array), C.size_t(len(array)), floats(buffer),
			C.size_t(len(buffer)), &length)
	})
	if err != nil {
		return 0, err
	}
	return int(length), nil
}

// Preprocess gives what the network sees of images of any sizes, before normalisation: bytes by image, row, column and channel
// (red, green, blue). An exported student with [InputBytes] gives for these what Embed gives for the images.
func (s *Session) Preprocess(images ...image.Image) ([]byte, error) {
	frames, err := framesOf(images)
	if err != nil {
		return nil, err
	}
	return s.PreprocessFrames(frames...)
}

// PreprocessFrames is Preprocess for raw pixels.
func (s *Session) PreprocessFrames(frames ...Frame) ([]byte, error) {
	array, unpin, err := views(frames)
	if err != nil {
		return nil, err
	}
	defer unpin()
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_session_preprocess(object, unsafe.SliceData(array), C.size_t(len(array)), (*C.uint8_t)(buffer), capacity, length)
	})
}

// EmbedDataset gives the vectors of all images of a data set, in order. A broken image gives zeros and is counted as
// skipped.
//
// Errors: [ErrInvalidArgument] for an empty data set.
//
// progress (may be nil) receives how many images of how many are done. An error from it ends the call and is returned;
// after [Stop] the error is [ErrCancelled], as there is no result. A context of [WithPause] can pause the call. When ctx ends,
// the call ends with an error that matches [ErrCancelled] and the context's cause.
func (s *Session) EmbedDataset(ctx context.Context, dataset *Dataset, progress func(done, total int) error) (Embeddings, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return Embeddings{}, err
	}
	defer s.handle.release()
	images, err := dataset.inner().acquire()
	if err != nil {
		return Embeddings{}, err
	}
	defer dataset.handle.release()
	var dim C.int64_t
	if err := check(C.seed_session_dim(object, &dim)); err != nil {
		return Embeddings{}, err
	}
	var values []float32
	err = counted(ctx, progress, func(handle C.uintptr_t, token *C.seed_cancel_token) (err error) {
		values, err = fill(func(buffer *float32, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_go_session_embed_dataset(object, images, handle, token, (*C.float)(buffer), capacity, length)
		})
		return err
	})
	if err != nil {
		return Embeddings{}, err
	}
	return Embeddings{Values: values, Dim: int(dim)}, nil
}
