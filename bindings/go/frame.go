package seed

// #include "bridge.h"
import "C"

import (
	"math"
	"math/bits"
	"runtime"
	"unsafe"
)

// PixelFormat says how the bytes of a [Frame] are to be read.
type PixelFormat int32

// The library's pixel formats.
const (
	// Mono8 is one byte of grey a pixel.
	Mono8 PixelFormat = C.SEED_PIXEL_MONO8
	// Mono16 is two bytes of grey a pixel in the machine's byte order, full range 0 to 65535.
	Mono16 PixelFormat = C.SEED_PIXEL_MONO16
	// RGB8 is red, green, blue, one byte each.
	RGB8 PixelFormat = C.SEED_PIXEL_RGB8
	// BGR8 is blue, green, red, one byte each.
	BGR8 PixelFormat = C.SEED_PIXEL_BGR8
	// RGBA8 is red, green, blue and an alpha that is ignored, one byte each.
	RGBA8 PixelFormat = C.SEED_PIXEL_RGBA8
	// BGRA8 is blue, green, red and an alpha that is ignored, one byte each.
	BGRA8 PixelFormat = C.SEED_PIXEL_BGRA8
	// PlanarFloat32 is three planes of float32, red, green, blue, each Height·Stride bytes, values 0 to 1.
	PlanarFloat32 PixelFormat = C.SEED_PIXEL_PLANAR_F32
	// Mono10 is two bytes of grey a pixel in the machine's byte order, 0 to 1023 in the low bits; larger values are refused.
	Mono10 PixelFormat = C.SEED_PIXEL_MONO10
	// Mono12 is the same of 0 to 4095.
	Mono12 PixelFormat = C.SEED_PIXEL_MONO12
	// Mono14 is the same of 0 to 16383.
	Mono14 PixelFormat = C.SEED_PIXEL_MONO14
	// Mono10p is four pixels of grey in five bytes, GenICam's; each row begins with a byte of its own.
	Mono10p PixelFormat = C.SEED_PIXEL_MONO10P
	// Mono12p is two pixels of grey in three bytes, GenICam's.
	Mono12p PixelFormat = C.SEED_PIXEL_MONO12P
	// Mono12Packed is two pixels of grey in three bytes, GigE Vision's.
	Mono12Packed PixelFormat = C.SEED_PIXEL_MONO12PACKED
	// BayerRG8 is a mosaic of one byte a pixel whose first row is red, green, …
	BayerRG8 PixelFormat = C.SEED_PIXEL_BAYER_RG8
	// BayerGR8 is one whose first row is green, red, …
	BayerGR8 PixelFormat = C.SEED_PIXEL_BAYER_GR8
	// BayerGB8 is one whose first row is green, blue, …
	BayerGB8 PixelFormat = C.SEED_PIXEL_BAYER_GB8
	// BayerBG8 is one whose first row is blue, green, …
	BayerBG8 PixelFormat = C.SEED_PIXEL_BAYER_BG8
	// BayerRG12 is BayerRG8 of two bytes a pixel as in Mono12.
	BayerRG12 PixelFormat = C.SEED_PIXEL_BAYER_RG12
	// BayerGR12 is BayerGR8 of two bytes a pixel as in Mono12.
	BayerGR12 PixelFormat = C.SEED_PIXEL_BAYER_GR12
	// BayerGB12 is BayerGB8 of two bytes a pixel as in Mono12.
	BayerGB12 PixelFormat = C.SEED_PIXEL_BAYER_GB12
	// BayerBG12 is BayerBG8 of two bytes a pixel as in Mono12.
	BayerBG12 PixelFormat = C.SEED_PIXEL_BAYER_BG12
	// RGB16 is red, green, blue of two bytes each in the machine's byte order, full range 0 to 65535.
	RGB16 PixelFormat = C.SEED_PIXEL_RGB16
	// MonoFloat32 is one float32 of grey a pixel, any finite number.
	MonoFloat32 PixelFormat = C.SEED_PIXEL_MONO_F32
)

// layout gives the bits of a pixel in a row and the number of planes; false for an unknown format.
func (f PixelFormat) layout() (pixelBits, planes uint64, known bool) {
	switch f {
	case Mono8, BayerRG8, BayerGR8, BayerGB8, BayerBG8:
		return 8, 1, true
	case Mono10p:
		return 10, 1, true
	case Mono12p, Mono12Packed:
		return 12, 1, true
	case Mono10, Mono12, Mono14, Mono16, BayerRG12, BayerGR12, BayerGB12, BayerBG12:
		return 16, 1, true
	case RGB8, BGR8:
		return 24, 1, true
	case RGBA8, BGRA8, MonoFloat32:
		return 32, 1, true
	case PlanarFloat32:
		return 32, 3, true
	case RGB16:
		return 48, 1, true
	}
	return 0, 0, false
}

// Frame is a view of raw pixels, a camera's say. They are read during the call only and never copied on Go's side; Pix may
// lie outside of Go's memory (mmap, C).
type Frame struct {
	// Pix holds the rows; the last one need not be padded to Stride.
	Pix []byte
	// Width is the number of pixels a row.
	Width int
	// Height is the number of rows.
	Height int
	// Stride is the number of bytes from one row to the next; 0: rows without padding.
	Stride int
	// Format says how to read Pix.
	Format PixelFormat
}

// Mono16Frame is a frame of Width·Height grey values of 0 to 65535, row after row, in the memory of values.
func Mono16Frame(values []uint16, width, height int) Frame {
	return Frame{Pix: bytesOf(values), Width: width, Height: height, Format: Mono16}
}

// FloatFrame is a frame of Width·Height grey values, any finite numbers, row after row, in the memory of values.
func FloatFrame(values []float32, width, height int) Frame {
	return Frame{Pix: bytesOf(values), Width: width, Height: height, Format: MonoFloat32}
}

// PlanarFrame is a frame of three planes, red, green, blue, of Width·Height values of 0 to 1 each, in the memory of values.
func PlanarFrame(values []float32, width, height int) Frame {
	return Frame{Pix: bytesOf(values), Width: width, Height: height, Format: PlanarFloat32}
}

func bytesOf[T uint16 | float32](values []T) []byte {
	if len(values) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&values[0])), len(values)*int(unsafe.Sizeof(values[0])))
}

// view is the frame as C sees it. C cannot know how long Pix is, so that is checked here; the rest is checked there.
func (f Frame) view() (C.seed_image, error) {
	var image C.seed_image
	pixelBits, planes, known := f.Format.layout()
	if !known {
		return image, invalid("the frame's format is %d, expected one of this package's PixelFormats", int32(f.Format))
	}
	if f.Width < 1 || f.Height < 1 || uint64(f.Width) > math.MaxUint32 || uint64(f.Height) > math.MaxUint32 {
		return image, invalid("the frame has %d × %d pixels, expected at least 1 × 1 and below 2^32", f.Width, f.Height)
	}
	row := (uint64(f.Width)*pixelBits + 7) / 8
	stride := uint64(f.Stride)
	if f.Stride == 0 {
		stride = row
	}
	if f.Stride < 0 || stride < row {
		return image, invalid("the frame's stride is %d bytes, expected at least %d", f.Stride, row)
	}
	high, before := bits.Mul64(stride, uint64(f.Height)*planes-1)
	needed, carry := bits.Add64(before, row, 0)
	if high != 0 || carry != 0 || needed > uint64(len(f.Pix)) {
		return image, invalid("the frame's Pix holds %d bytes, too few for %d × %d pixels with a stride of %d bytes",
			len(f.Pix), f.Width, f.Height, stride)
	}
	image.struct_size = C.sizeof_seed_image
	image.data = unsafe.Pointer(unsafe.SliceData(f.Pix))
	image.width = C.uint32_t(f.Width)
	image.height = C.uint32_t(f.Height)
	image.row_stride = C.size_t(stride)
	image.format = C.int32_t(f.Format)
	image.device = C.SEED_DEVICE_CPU
	return image, nil
}

// views are frames as C sees them. C gets an array of pointers to Go memory, so each is pinned until the unpin.
func views(frames []Frame) (array []C.seed_image, unpin func(), err error) {
	var pinner runtime.Pinner
	array = make([]C.seed_image, len(frames))
	for i, frame := range frames {
		if array[i], err = frame.view(); err != nil {
			pinner.Unpin()
			return nil, nil, placed(i, err)
		}
		pinner.Pin(unsafe.SliceData(frame.Pix))
	}
	return array, pinner.Unpin, nil
}
