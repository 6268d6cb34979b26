package seed

// #include "bridge.h"
import "C"

import (
	"image"
	"math"
	"runtime"
	"time"
	"unsafe"
)

// Store is a file of frames with their labels, texts and embeddings, bounded in size, that a station writes while it runs. Any
// number of goroutines may use it at once.
type Store struct {
	_      noCopy
	handle *handle[*C.seed_store]
}

// StoreOptions say how a store is opened; 0 is the default everywhere.
type StoreOptions struct {
	// MaxBytes is the most bytes of images, embeddings and texts; the file is a few per cent larger. Default: 8 GiB.
	MaxBytes uint64
	// MaxFrames is the most frames. Default: no limit.
	MaxFrames uint64
	// MaxAge lets unlabelled frames go that are older; whole seconds count. Default: no limit.
	MaxAge time.Duration
	// Seed is that of the reservoir's choice.
	Seed uint64
	// QueueBytes is the most bytes of pixels that wait for the store's thread. Default: 256 MiB.
	QueueBytes uint64
	// QueueFrames is the most frames that wait, up to 65536. Default: 32.
	QueueFrames int
	// Keep says what stays when the store is full. Default: KeepNewest.
	Keep StoreKeep
	// Encoding of the frames, StorePNG or StoreJPEG. Default: StorePNG.
	Encoding StoreEncoding
	// JPEGQuality is 1 to 100. Default: 90.
	JPEGQuality int
}

// StoreLabel is the class of a frame.
type StoreLabel struct {
	// Class counts from 0.
	Class int64
	// Text is what the class is called; may be empty.
	Text string
}

// StoreEntry is what goes with a frame; the zero value is fine.
type StoreEntry struct {
	// Name is what the frame is called; need not be unique.
	Name string
	// Metadata is whatever shall be kept with it, JSON say.
	Metadata string
	// Time is when the frame was taken, kept in microseconds; zero: now.
	Time time.Time
	// Embedding is kept with length 1; nil: none. All of a store must be as wide and come from one network.
	Embedding []float32
	// Label is the frame's class; nil: none.
	Label *StoreLabel
}

// WaitForever lets [Store.Push] wait until there is room.
const WaitForever time.Duration = -1

// OpenStore opens the store in the file path to write, and makes it where there is none. Beside it lie path.lock and, while it is
// open, path-wal and path-shm. It must be on a local disk.
//
// Errors: [ErrBusy] when another store writes to it, here or in another process; [ErrIO]; [ErrFormat] when the file is no store;
// [ErrMismatch] for another version's, or when novel frames are to be kept and stored ones have no embedding.
func OpenStore(path string, options StoreOptions) (*Store, error) {
	if options.MaxAge < 0 || options.QueueFrames < 0 || int64(options.QueueFrames) > math.MaxUint32 ||
		options.JPEGQuality < 0 || options.JPEGQuality > 100 {
		return nil, invalid("the store's options have MaxAge %v, QueueFrames %d and JPEGQuality %d, expected numbers from 0, a quality to 100",
			options.MaxAge, options.QueueFrames, options.JPEGQuality)
	}
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	c := C.seed_store_options{
		struct_size: C.sizeof_seed_store_options,
		max_bytes:   C.uint64_t(options.MaxBytes),
		max_frames:  C.uint64_t(options.MaxFrames),
		// A part of a second must not become 0, which is no limit.
		max_age_seconds: C.uint64_t((options.MaxAge + time.Second - 1) / time.Second),
		seed:            C.uint64_t(options.Seed),
		queue_bytes:     C.uint64_t(options.QueueBytes),
		queue_frames:    C.uint32_t(options.QueueFrames),
		keep:            C.int32_t(options.Keep),
		encoding:        C.int32_t(options.Encoding),
		jpeg_quality:    C.int32_t(options.JPEGQuality),
	}
	return newStore(func(out **C.seed_store) *C.seed_error { return C.seed_store_open(file, &c, out) })
}

// OpenStoreToRead opens the store in the file path to read, whether or not a process writes to it. Methods that change the store
// answer [ErrInvalidArgument].
//
// Errors: [ErrIO] when there is no such file, [ErrFormat] when it is no store, [ErrMismatch] for another version's.
func OpenStoreToRead(path string) (*Store, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newStore(func(out **C.seed_store) *C.seed_error { return C.seed_store_open_to_read(file, out) })
}

func newStore(construct func(**C.seed_store) *C.seed_error) (*Store, error) {
	h, err := create("Store", func(object *C.seed_store) { C.seed_store_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Store{handle: h}, h), nil
}

func (s *Store) inner() *handle[*C.seed_store] {
	if s == nil || s.handle == nil {
		return absent[*C.seed_store]("Store")
	}
	return s.handle
}

// Close stores what waits and closes, for which it does wait. Data sets of the store live on. Only the first call can fail.
//
// Errors: [ErrIO] (a full disk, after one more try) when frames that had got a number are lost, how many and why, or when what was
// stored could not be synced. The store is closed then, too.
func (s *Store) Close() error {
	object, err := s.inner().acquire()
	if err != nil {
		// Closed already.
		return nil
	}
	err = check(C.seed_store_close(object))
	s.handle.release()
	s.inner().close()
	return err
}

// SetSession gives frames without an embedding that of session, as it is now, in the store's thread from now on; nil ends it.
// After [Session.Swap] the store goes on with the old network: embeddings of two networks cannot be compared.
//
// Errors: [ErrMismatch] when the store has embeddings of another width.
func (s *Store) SetSession(session *Session) error {
	var network *C.seed_session
	if session != nil {
		var err error
		if network, err = session.inner().acquire(); err != nil {
			return err
		}
		defer session.handle.release()
	}
	return with(s.inner(), func(object *C.seed_store) *C.seed_error { return C.seed_store_set_session(object, network) })
}

// Push copies a frame into the store's queue and returns; encoding and writing happen in the store's thread. Where the queue is
// full it waits so long for room (0: not at all; [WaitForever]). The id under which the frame will be stored counts from 1 and is
// never given twice. It is 0 when the frame was not taken: there was no room, or the reservoir passes it over; Stats counts both.
//
// Errors: [ErrInvalidArgument] for an image that is not sound or larger than QueueBytes, and where novel frames are kept and
// there is neither an embedding nor a session; [ErrMismatch] for an embedding of another width.
func (s *Store) Push(img image.Image, entry StoreEntry, wait time.Duration) (id int64, err error) {
	frame, err := FrameOf(img)
	if err != nil {
		return 0, err
	}
	return s.PushFrame(frame, entry, wait)
}

// PushFrame is Push for raw pixels.
func (s *Store) PushFrame(frame Frame, entry StoreEntry, wait time.Duration) (id int64, err error) {
	array, unpin, err := views([]Frame{frame})
	if err != nil {
		return 0, err
	}
	defer unpin()
	return s.push(entry, func(object *C.seed_store, c *C.seed_store_entry, id *C.int64_t) *C.seed_error {
		return C.seed_store_push(object, unsafe.SliceData(array), c, milliseconds(wait), id)
	})
}

// PushEncoded is Push for a JPEG, PNG, BMP, TIFF, WebP or PNM, which is stored as it is. One that does not decode counts as failed.
func (s *Store) PushEncoded(encoded []byte, entry StoreEntry, wait time.Duration) (id int64, err error) {
	return s.push(entry, func(object *C.seed_store, c *C.seed_store_entry, id *C.int64_t) *C.seed_error {
		return C.seed_store_push_encoded(object, octets(encoded), C.size_t(len(encoded)), c, milliseconds(wait), id)
	})
}

func (s *Store) push(entry StoreEntry, call func(*C.seed_store, *C.seed_store_entry, *C.int64_t) *C.seed_error) (int64, error) {
	var t texts
	defer t.free()
	// The entry is Go memory that C reads, so what it points to in Go is pinned.
	var pinner runtime.Pinner
	defer pinner.Unpin()
	c := C.seed_store_entry{struct_size: C.sizeof_seed_store_entry, time_us: microseconds(entry.Time)}
	if entry.Name != "" {
		c.name = t.add("name", entry.Name)
	}
	if entry.Metadata != "" {
		c.metadata = t.add("metadata", entry.Metadata)
	}
	if len(entry.Embedding) > 0 {
		pinner.Pin(unsafe.SliceData(entry.Embedding))
		c.embedding, c.embedding_dim = floats(entry.Embedding), C.size_t(len(entry.Embedding))
	}
	if entry.Label != nil {
		c.label, c.has_label = C.int64_t(entry.Label.Class), 1
		if entry.Label.Text != "" {
			c.label_text = t.add("label", entry.Label.Text)
		}
	}
	if t.err != nil {
		return 0, t.err
	}
	var id C.int64_t
	err := with(s.inner(), func(object *C.seed_store) *C.seed_error { return call(object, &c, &id) })
	return int64(id), err
}

// Flush waits until all frames that were pushed before are stored and synced to the disk: they survive the end of the process,
// and of power where the disk keeps its word.
//
// Errors: [ErrIO] when that cannot be done now, with the reason; the frames wait and are tried again.
func (s *Store) Flush() error {
	return with(s.inner(), func(object *C.seed_store) *C.seed_error { return C.seed_store_flush(object) })
}

// SetLabel labels frame id once all that was pushed before is stored; nil takes the label away. Labelled frames are not let go
// for their age, and for others only when all are labelled.
//
// Errors: [ErrInvalidArgument] when there is no such frame or the class is below 0, [ErrIO].
func (s *Store) SetLabel(id int64, label *StoreLabel) error {
	var t texts
	defer t.free()
	class, text := C.int64_t(-1), (*C.char)(nil)
	if label != nil {
		if label.Class < 0 {
			return invalid("the label's class is %d, expected a number from 0, or no label", label.Class)
		}
		class = C.int64_t(label.Class)
		if label.Text != "" {
			text = t.add("label", label.Text)
		}
	}
	if t.err != nil {
		return t.err
	}
	return with(s.inner(), func(object *C.seed_store) *C.seed_error {
		return C.seed_store_set_label(object, C.int64_t(id), class, text)
	})
}

// Remove removes frames, all or none; those that are not there are fine.
//
// Errors: [ErrIO].
func (s *Store) Remove(ids ...int64) error {
	return with(s.inner(), func(object *C.seed_store) *C.seed_error {
		return C.seed_store_remove(object, numbers(ids), C.size_t(len(ids)))
	})
}

// numbers is the C view of a slice; the call must keep to its length.
func numbers(values []int64) *C.int64_t {
	return (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(values)))
}

// microseconds is a time as the store has it, 0 for none.
func microseconds(when time.Time) C.int64_t {
	if when.IsZero() {
		return 0
	}
	return C.int64_t(when.UnixMicro())
}

// milliseconds rounds a wait up; all ones is for ever.
func milliseconds(wait time.Duration) C.uint32_t {
	if wait < 0 || wait > (math.MaxUint32-1)*time.Millisecond {
		return math.MaxUint32
	}
	return C.uint32_t((wait + time.Millisecond - 1) / time.Millisecond)
}
