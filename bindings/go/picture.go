package seed

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/png"
	"math"
)

// Image copies the frame's pixels into an image: an image.Gray of [Mono8], an image.Gray16 of [Mono16], an image.NRGBA
// without transparency of the other formats of 8 bits and of planes. Of the rest it is the image of the frame's PNG file, whose samples
// lie in the upper bits of 16; a float becomes 8 bits.
//
// Errors: [ErrInvalidArgument] for frames that Embed would refuse too.
func (f Frame) Image() (image.Image, error) {
	view, err := f.view()
	if err != nil {
		return nil, err
	}
	if f.Width > longestSide || f.Height > longestSide {
		return nil, invalid("the frame has %d × %d pixels, expected at most %d a side", f.Width, f.Height, longestSide)
	}
	stride, bounds := int(view.row_stride), image.Rect(0, 0, f.Width, f.Height)
	switch f.Format {
	case Mono8:
		grey := image.NewGray(bounds)
		for y := range f.Height {
			copy(grey.Pix[y*grey.Stride:], f.Pix[y*stride:][:f.Width])
		}
		return grey, nil
	case Mono16:
		grey := image.NewGray16(bounds)
		for y := range f.Height {
			row := f.Pix[y*stride:]
			for x := range f.Width {
				// Go's are big-endian.
				binary.BigEndian.PutUint16(grey.Pix[y*grey.Stride+2*x:], binary.NativeEndian.Uint16(row[2*x:]))
			}
		}
		return grey, nil
	}
	if f.Format > PlanarFloat32 {
		file, err := f.PNG()
		if err != nil {
			return nil, err
		}
		return png.Decode(bytes.NewReader(file))
	}
	colours := image.NewNRGBA(bounds)
	for y := range f.Height {
		for x := range f.Width {
			red, green, blue := f.colour(x, y, stride)
			copy(colours.Pix[y*colours.Stride+4*x:], []byte{red, green, blue, 255})
		}
	}
	return colours, nil
}

// colour is the colour of a pixel of a frame in RGB8, BGR8, RGBA8, BGRA8 or PlanarFloat32.
func (f Frame) colour(x, y, stride int) (red, green, blue byte) {
	switch f.Format {
	case RGB8:
		pixel := f.Pix[y*stride+3*x:]
		return pixel[0], pixel[1], pixel[2]
	case BGR8:
		pixel := f.Pix[y*stride+3*x:]
		return pixel[2], pixel[1], pixel[0]
	case RGBA8:
		pixel := f.Pix[y*stride+4*x:]
		return pixel[0], pixel[1], pixel[2]
	case BGRA8:
		pixel := f.Pix[y*stride+4*x:]
		return pixel[2], pixel[1], pixel[0]
	}
	var planes [3]byte
	for plane := range planes {
		value := math.Float32frombits(binary.NativeEndian.Uint32(f.Pix[(plane*f.Height+y)*stride+4*x:]))
		planes[plane] = byte(math.Round(255 * float64(min(max(value, 0), 1))))
	}
	return planes[0], planes[1], planes[2]
}
