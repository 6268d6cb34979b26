package seed

// #include "bridge.h"
import "C"

import (
	"image"
	"math"
	"unsafe"
)

// Dataset is a number of images without labels. Any number of goroutines may use it at once, pushing while a trainer reads
// included.
type Dataset struct {
	_      noCopy
	handle *handle[*C.seed_dataset]
}

// OpenFolder opens every JPEG, PNG, BMP, TIFF, WebP and PNM in folder and below, sorted by name. Files are read when they are needed:
// a broken one is skipped, counted and named then.
//
// Errors: [ErrIO] when the folder cannot be read, [ErrInvalidArgument] when it holds no image.
func OpenFolder(folder string) (*Dataset, error) {
	var t texts
	defer t.free()
	path := t.add("folder", folder)
	if t.err != nil {
		return nil, t.err
	}
	return newDataset(func(out **C.seed_dataset) *C.seed_error { return C.seed_dataset_open_folder(path, out) })
}

// OpenFiles opens image files by path, in this order.
func OpenFiles(paths ...string) (*Dataset, error) {
	var t texts
	defer t.free()
	array := t.array("paths", paths)
	if t.err != nil {
		return nil, t.err
	}
	return newDataset(func(out **C.seed_dataset) *C.seed_error {
		return C.seed_dataset_open_files(array, C.size_t(len(paths)), out)
	})
}

// NewDataset makes an empty data set in memory, to be filled by Push.
func NewDataset() (*Dataset, error) {
	return newDataset(func(out **C.seed_dataset) *C.seed_error { return C.seed_dataset_new(out) })
}

func newDataset(construct func(**C.seed_dataset) *C.seed_error) (*Dataset, error) {
	h, err := create("Dataset", func(object *C.seed_dataset) { C.seed_dataset_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Dataset{handle: h}, h), nil
}

func (d *Dataset) inner() *handle[*C.seed_dataset] {
	if d == nil || d.handle == nil {
		return absent[*C.seed_dataset]("Dataset")
	}
	return d.handle
}

// Close releases the data set. The error is always nil.
func (d *Dataset) Close() error {
	d.inner().close()
	return nil
}

// Warnings is what you should know about the images although nothing failed, such as numbers outside [0, 1] that were clamped.
func (d *Dataset) Warnings() ([]string, error) {
	return warnings(d.inner(), func(object *C.seed_dataset, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_warnings(object, buffer, capacity, length)
	})
}

// Push copies an image into the data set under name ("": its number) and gives its number. Works on every data set, one of
// a folder too.
func (d *Dataset) Push(img image.Image, name string) (int, error) {
	frame, err := FrameOf(img)
	if err != nil {
		return 0, err
	}
	return d.PushFrame(frame, name)
}

// PushFrame is Push for raw pixels.
func (d *Dataset) PushFrame(frame Frame, name string) (int, error) {
	array, unpin, err := views([]Frame{frame})
	if err != nil {
		return 0, err
	}
	defer unpin()
	var t texts
	defer t.free()
	var text *C.char
	if name != "" {
		text = t.add("name", name)
	}
	if t.err != nil {
		return 0, t.err
	}
	var index C.size_t
	err = with(d.inner(), func(object *C.seed_dataset) *C.seed_error {
		return C.seed_dataset_push(object, unsafe.SliceData(array), text, &index)
	})
	return int(index), err
}

// PushEncoded decodes a JPEG, PNG, BMP, TIFF, WebP or PNM and pushes it, as Push. The pixels are kept, not the file.
//
// Errors: [ErrFormat] when the bytes are no sound image.
func (d *Dataset) PushEncoded(encoded []byte, name string) (int, error) {
	var t texts
	defer t.free()
	var text *C.char
	if name != "" {
		text = t.add("name", name)
	}
	if t.err != nil {
		return 0, t.err
	}
	var index C.size_t
	err := with(d.inner(), func(object *C.seed_dataset) *C.seed_error {
		return C.seed_dataset_push_encoded(object, octets(encoded), C.size_t(len(encoded)), text, &index)
	})
	return int(index), err
}

// Pixels reads image index, as [Decode] gives it.
//
// Errors: [ErrIO] or [ErrFormat] when the image is broken; it is counted as skipped then.
func (d *Dataset) Pixels(index int) (Frame, error) {
	if index < 0 {
		return Frame{}, invalid("image %d was asked for, expected a number from 0", index)
	}
	object, err := d.inner().acquire()
	if err != nil {
		return Frame{}, err
	}
	defer d.handle.release()
	return fillFrame(func(shape *C.seed_go_shape, buffer *C.uint8_t, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_go_dataset_pixels(object, C.size_t(index), shape, buffer, capacity, length)
	})
}

// SetReading says how image files are read, by "exif" and "page" in config: "ignore" leaves frames as they are stored instead of turning them
// upright, and page 0 makes every page of a TIFF an image of its own, called NAME, NAME#2 and so on. Call it before images are asked for:
// page 0 numbers them anew.
func (d *Dataset) SetReading(config *Config) error {
	object, err := d.inner().acquire()
	if err != nil {
		return err
	}
	defer d.handle.release()
	return with(config.inner(), func(settings *C.seed_config) *C.seed_error {
		return C.seed_dataset_set_reading(object, settings)
	})
}

// SetIgnored says which pixels of every image count for nothing to detectors that learn from the data set: those of mask that are not black.
// A mask without pixels takes that back.
func (d *Dataset) SetIgnored(mask Frame) error { return d.setIgnored(^C.size_t(0), mask) }

// SetIgnoredOf is SetIgnored for one image.
func (d *Dataset) SetIgnoredOf(index int, mask Frame) error {
	if index < 0 {
		return d.setIgnored(^C.size_t(0)-1, mask)
	}
	return d.setIgnored(C.size_t(index), mask)
}

func (d *Dataset) setIgnored(index C.size_t, mask Frame) error {
	if len(mask.Pix) == 0 {
		return with(d.inner(), func(object *C.seed_dataset) *C.seed_error {
			return C.seed_dataset_set_ignored(object, index, nil)
		})
	}
	array, unpin, err := views([]Frame{mask})
	if err != nil {
		return err
	}
	defer unpin()
	return with(d.inner(), func(object *C.seed_dataset) *C.seed_error {
		return C.seed_dataset_set_ignored(object, index, unsafe.SliceData(array))
	})
}

// PolygonMask draws a polygon as a mask for [Dataset.SetIgnored]: white for each pixel of a frame of that size whose middle lies inside, black
// else. corners are x and y of each corner, in pixels.
func PolygonMask(corners []float32, width, height int) (Frame, error) {
	if width < 0 || height < 0 || width > math.MaxInt32 || height > math.MaxInt32 {
		width, height = 0, 0
	}
	drawn, err := fill(func(buffer *C.uint8_t, capacity C.size_t, length *C.size_t) *C.seed_error {
		count := C.size_t(len(corners) / 2)
		return C.seed_polygon_mask(floats(corners), count, C.uint32_t(width), C.uint32_t(height), buffer, capacity, length)
	})
	if err != nil {
		return Frame{}, err
	}
	pixels := unsafe.Slice((*byte)(unsafe.SliceData(drawn)), len(drawn))
	return Frame{Pix: pixels, Width: width, Height: height, Stride: width, Format: Mono8}, nil
}

// SetRange says which samples of the images become which of 256 levels, by "range" and its keys in config. "dataset" measures percentiles
// over all images now. What learns from the data set sees frames by it from then on.
//
// Errors: [ErrConfig] where low is not below high; of "dataset" [ErrInvalidArgument] where there is no image, images have different bits or
// there is one sample only between the percentiles.
func (d *Dataset) SetRange(config *Config) error {
	object, err := d.inner().acquire()
	if err != nil {
		return err
	}
	defer d.handle.release()
	return with(config.inner(), func(settings *C.seed_config) *C.seed_error {
		return C.seed_dataset_set_range(object, settings)
	})
}

// Range is the range that was set, as pairs that [Config.Parse] takes, "range=fixed range.low=96 range.high=3871 range.gamma=1" say; empty
// where none was.
func (d *Dataset) Range() (string, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return "", err
	}
	defer d.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_range(object, buffer, capacity, length)
	})
}

// Count is the number of images, broken ones included.
func (d *Dataset) Count() (int, error) {
	var count C.size_t
	err := with(d.inner(), func(object *C.seed_dataset) *C.seed_error {
		return C.seed_dataset_count(object, &count)
	})
	return int(count), err
}

// Name is that of image index: its path relative to the folder with '/', or what it was pushed under.
func (d *Dataset) Name(index int) (string, error) {
	if index < 0 {
		return "", invalid("image %d was asked for, expected a number from 0", index)
	}
	object, err := d.inner().acquire()
	if err != nil {
		return "", err
	}
	defer d.handle.release()
	return fillText(func(buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_name(object, C.size_t(index), buffer, capacity, length)
	})
}

// Broken says for each image whether it could not be used when it was last asked for: after [Session.EmbedDataset] these are the
// rows of zeros.
func (d *Dataset) Broken() ([]bool, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer d.handle.release()
	marks, err := fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_broken(object, (*C.uint8_t)(buffer), capacity, length)
	})
	if err != nil {
		return nil, err
	}
	broken := make([]bool, len(marks))
	for i, mark := range marks {
		broken[i] = mark != 0
	}
	return broken, nil
}

// Skipped lists the images that could not be used when they were last asked for, each as "name: reason".
func (d *Dataset) Skipped() ([]string, error) {
	object, err := d.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer d.handle.release()
	var count C.size_t
	if err := check(C.seed_dataset_skipped_count(object, &count)); err != nil {
		return nil, err
	}
	return textsOf(count, func(index C.size_t, buffer *C.char, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_dataset_skipped(object, index, buffer, capacity, length)
	})
}
