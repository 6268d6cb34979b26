package seed

// #include "bridge.h"
import "C"

import "time"

// StoreFilter says which frames are listed; 0 is no bound everywhere.
type StoreFilter struct {
	// FirstID is the smallest id.
	FirstID int64
	// LastID is the largest.
	LastID int64
	// From is the earliest time.
	From time.Time
	// Until is the latest.
	Until time.Time
	// Labelled says which by their labels; OnlyOfClass needs Class.
	Labelled StoreLabelled
	// Class is for OnlyOfClass.
	Class int64
	// Last asks for the last so many of them only.
	Last uint64
}

// StoreRecord is what is known of a stored frame.
type StoreRecord struct {
	// ID is its number.
	ID int64
	// Time is when it was taken, in microseconds.
	Time time.Time
	// Class is that of its label; −1 where it has none.
	Class int64
	// Bytes is the length of the encoded image.
	Bytes uint64
	// Width is the number of pixels a row.
	Width int
	// Height is the number of rows.
	Height int
	// Channels is 1 or 3.
	Channels int
	// Bits is 8 to 16 a sample, as it is stored.
	Bits int
	// CRC32 is that of the encoded image.
	CRC32 uint32
	// Encoding is its file format.
	Encoding StoreEncoding
}

// List gives the ids of the frames that filter lets through, ascending. A frame that was just pushed is there after Flush.
func (s *Store) List(filter StoreFilter) ([]int64, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	c := C.seed_store_filter{
		struct_size: C.sizeof_seed_store_filter,
		first_id:    C.int64_t(filter.FirstID),
		last_id:     C.int64_t(filter.LastID),
		from_us:     microseconds(filter.From),
		until_us:    microseconds(filter.Until),
		label:       C.int64_t(filter.Class),
		last:        C.uint64_t(filter.Last),
		labelled:    C.int32_t(filter.Labelled),
	}
	return fill(func(buffer *int64, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_store_list(object, &c, (*C.int64_t)(buffer), capacity, length)
	})
}

// Describe tells what is known of frame id.
//
// Errors: [ErrInvalidArgument] when it is not there, as for every method that takes an id.
func (s *Store) Describe(id int64) (StoreRecord, error) {
	c := C.seed_store_record{struct_size: C.sizeof_seed_store_record}
	err := with(s.inner(), func(object *C.seed_store) *C.seed_error {
		return C.seed_store_describe(object, C.int64_t(id), &c)
	})
	if err != nil {
		return StoreRecord{}, err
	}
	return StoreRecord{
		ID:       int64(c.id),
		Time:     time.UnixMicro(int64(c.time_us)),
		Class:    int64(c.label),
		Bytes:    uint64(c.bytes),
		Width:    int(c.width),
		Height:   int(c.height),
		Channels: int(c.channels),
		Bits:     int(c.bits),
		CRC32:    uint32(c.crc32),
		Encoding: StoreEncoding(c.encoding),
	}, nil
}

// Name is what frame id was called.
func (s *Store) Name(id int64) (string, error) { return s.text(id, C.SEED_STORE_TEXT_NAME) }

// Metadata is what is kept with frame id.
func (s *Store) Metadata(id int64) (string, error) { return s.text(id, C.SEED_STORE_TEXT_METADATA) }

// LabelText is what the class of frame id is called; empty where it has none.
func (s *Store) LabelText(id int64) (string, error) { return s.text(id, C.SEED_STORE_TEXT_LABEL) }

func (s *Store) text(id int64, which C.int32_t) (string, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return "", err
	}
	defer s.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_store_text(object, C.int64_t(id), which, buffer, capacity, length)
	})
}

// Pixels reads frame id, as [Decode] gives it.
//
// Errors: [ErrFormat] when the image is damaged.
func (s *Store) Pixels(id int64) (Frame, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return Frame{}, err
	}
	defer s.handle.release()
	return fillFrame(func(shape *C.seed_go_shape, buffer *C.uint8_t, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_go_store_pixels(object, C.int64_t(id), shape, buffer, capacity, length)
	})
}

// Encoded is the file of frame id, PNG or JPEG say.
//
// Errors: [ErrFormat] when the bytes are not those that were stored.
func (s *Store) Encoded(id int64) ([]byte, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_store_encoded(object, C.int64_t(id), (*C.uint8_t)(buffer), capacity, length)
	})
}

// Embedding is that of frame id, of length 1; empty where it has none.
func (s *Store) Embedding(id int64) ([]float32, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	return fill(func(buffer *float32, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_store_embedding(object, C.int64_t(id), (*C.float)(buffer), capacity, length)
	})
}

// Labels are the classes of frames, −1 where there is none.
func (s *Store) Labels(ids ...int64) ([]int64, error) {
	classes := make([]int64, len(ids))
	err := with(s.inner(), func(object *C.seed_store) *C.seed_error {
		return C.seed_store_labels(object, numbers(ids), C.size_t(len(ids)), numbers(classes))
	})
	if err != nil {
		return nil, err
	}
	return classes, nil
}

// Dataset makes a data set of frames in this order, or of all that are there now where none is named; image i is frame ids[i].
// It reads the store when an image is asked for, and may outlive it. The store may grow meanwhile: what comes later is not in
// the data set, and a frame that has gone is skipped, counted and named like a broken file.
//
// Errors: [ErrInvalidArgument] when there is no frame, or one of ids is not there.
func (s *Store) Dataset(ids ...int64) (*Dataset, error) {
	object, err := s.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer s.handle.release()
	var first *C.int64_t
	if len(ids) > 0 {
		first = numbers(ids)
	}
	return newDataset(func(out **C.seed_dataset) *C.seed_error {
		return C.seed_dataset_open_store(object, first, C.size_t(len(ids)), out)
	})
}
