package seed

import (
	"image"
	"image/color"
	"image/draw"
)

// The library takes no longer sides; checked before a conversion takes memory.
const longestSide = 32768

// FrameOf views an image. image.Gray, image.NRGBA and opaque image.RGBA are viewed in place, others are converted, each
// anew at every call. Colours keep their values and alpha is ignored, as for image files.
//
// Errors: [ErrInvalidArgument] for a nil or empty image and for sides above 32768 pixels.
func FrameOf(img image.Image) (Frame, error) {
	if absentImage(img) {
		return Frame{}, invalid("the image is nil")
	}
	bounds := img.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	if width < 1 || height < 1 || width > longestSide || height > longestSide {
		return Frame{}, invalid("the image has %d × %d pixels, expected 1 to %d a side", width, height, longestSide)
	}
	switch img := img.(type) {
	case *image.Gray:
		return Frame{Pix: img.Pix, Width: width, Height: height, Stride: img.Stride, Format: Mono8}, nil
	case *image.Gray16:
		return nativeGrey(img)
	case *image.NRGBA:
		return Frame{Pix: img.Pix, Width: width, Height: height, Stride: img.Stride, Format: RGBA8}, nil
	case *image.RGBA:
		frame := Frame{Pix: img.Pix, Width: width, Height: height, Stride: img.Stride, Format: RGBA8}
		if _, err := frame.view(); err != nil || img.Opaque() {
			return frame, err
		}
	}
	if opaque, tells := img.(interface{ Opaque() bool }); tells && opaque.Opaque() {
		// Of opaque colours premultiplied ones are the same, and draw knows fast ways from YCbCr and others.
		drawn := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.Draw(drawn, drawn.Rect, img, bounds.Min, draw.Src)
		return Frame{Pix: drawn.Pix, Width: width, Height: height, Stride: drawn.Stride, Format: RGBA8}, nil
	}
	return straightColours(img), nil
}

// absentImage also finds nil pointers of the standard types behind the interface.
func absentImage(img image.Image) bool {
	switch img := img.(type) {
	case nil:
		return true
	case *image.Gray:
		return img == nil
	case *image.Gray16:
		return img == nil
	case *image.RGBA:
		return img == nil
	case *image.NRGBA:
		return img == nil
	case *image.YCbCr:
		return img == nil
	case *image.Paletted:
		return img == nil
	case *image.RGBA64:
		return img == nil
	case *image.NRGBA64:
		return img == nil
	case *image.CMYK:
		return img == nil
	}
	return false
}

// nativeGrey turns Go's big-endian grey values into the machine's byte order.
func nativeGrey(img *image.Gray16) (Frame, error) {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	whole := Frame{Pix: img.Pix, Width: width, Height: height, Stride: img.Stride, Format: Mono16}
	if _, err := whole.view(); err != nil {
		return Frame{}, err
	}
	values := make([]uint16, width*height)
	for y := range height {
		row := img.Pix[y*img.Stride:]
		for x := range width {
			values[y*width+x] = uint16(row[2*x])<<8 | uint16(row[2*x+1])
		}
	}
	return Mono16Frame(values, width, height), nil
}

// straightColours takes each pixel's colour without its alpha.
func straightColours(img image.Image) Frame {
	bounds := img.Bounds()
	width, height := bounds.Dx(), bounds.Dy()
	pixels := make([]byte, 0, 3*width*height)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			pixel := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			pixels = append(pixels, pixel.R, pixel.G, pixel.B)
		}
	}
	return Frame{Pix: pixels, Width: width, Height: height, Format: RGB8}
}

// framesOf views several images.
func framesOf(images []image.Image) ([]Frame, error) {
	frames := make([]Frame, len(images))
	for i, img := range images {
		var err error
		if frames[i], err = FrameOf(img); err != nil {
			return nil, placed(i, err)
		}
	}
	return frames, nil
}
