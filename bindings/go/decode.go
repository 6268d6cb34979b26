package seed

// #include "bridge.h"
import "C"

import "unsafe"

// Decode decodes a JPEG, PNG, BMP, TIFF, WebP or PNM as the library does when it reads files: rows without padding, [Mono8] where every
// pixel is grey and [RGB8] else, 8 bits whatever the file has. [Frame.Image] makes an image.Image of it.
//
// Errors: [ErrFormat] when the bytes are no sound image.
func Decode(encoded []byte) (Frame, error) {
	if err := Init(); err != nil {
		return Frame{}, err
	}
	return fillFrame(func(shape *C.seed_go_shape, buffer *C.uint8_t, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_go_image_decode(octets(encoded), C.size_t(len(encoded)), shape, buffer, capacity, length)
	})
}

// fillFrame is fill for an image.
func fillFrame(call func(*C.seed_go_shape, *C.uint8_t, C.size_t, *C.size_t) *C.seed_error) (Frame, error) {
	var shape C.seed_go_shape
	pixels, err := fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return call(&shape, (*C.uint8_t)(unsafe.Pointer(buffer)), capacity, length)
	})
	if err != nil {
		return Frame{}, err
	}
	return Frame{Pix: pixels, Width: int(shape.width), Height: int(shape.height), Stride: int(shape.row_stride),
		Format: PixelFormat(shape.format)}, nil
}

// octets is the C view of bytes; the call must keep to their length.
func octets(bytes []byte) *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(bytes)))
}

// PNG encodes the frame as a PNG file, every bit kept.
func (f Frame) PNG() ([]byte, error) {
	if err := Init(); err != nil {
		return nil, err
	}
	array, unpin, err := views([]Frame{f})
	if err != nil {
		return nil, err
	}
	defer unpin()
	return fill(func(buffer *byte, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_image_encode(unsafe.SliceData(array), (*C.uint8_t)(unsafe.Pointer(buffer)), capacity, length)
	})
}

// SavePNG writes the frame as a PNG file, atomically.
func (f Frame) SavePNG(path string) error {
	if err := Init(); err != nil {
		return err
	}
	array, unpin, err := views([]Frame{f})
	if err != nil {
		return err
	}
	defer unpin()
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return t.err
	}
	return check(C.seed_image_save(unsafe.SliceData(array), file))
}

// Picture paints the heat map over the frame that it is of. A distance of low leaves a pixel as it is, one of high gives it the darkest
// colour; NaN is the map's own lowest or highest value.
func (m AnomalyMap) Picture(frame Frame, low, high float32) (Frame, error) {
	array, unpin, err := views([]Frame{frame})
	if err != nil {
		return Frame{}, err
	}
	defer unpin()
	return fillFrame(func(shape *C.seed_go_shape, buffer *C.uint8_t, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_go_heat_map_picture(unsafe.SliceData(array), floats(m.Distances), C.size_t(len(m.Distances)), C.float(low),
			C.float(high), shape, buffer, capacity, length)
	})
}
