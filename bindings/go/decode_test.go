package seed_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	seed "libseed/bindings/go"
)

func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var buffer bytes.Buffer
	ok(t, png.Encode(&buffer, img))
	return buffer.Bytes()
}

func TestDecode(t *testing.T) {
	grey := must[seed.Frame](t)(seed.Decode(encoded(t, stripes(3, 21, 13))))
	if grey.Format != seed.Mono8 || grey.Width != 21 || grey.Height != 13 || grey.Stride != 21 ||
		!slices.Equal(grey.Pix, stripes(3, 21, 13).Pix) {
		t.Errorf("%d × %d, format %d, stride %d", grey.Width, grey.Height, grey.Format, grey.Stride)
	}
	colours := must[seed.Frame](t)(seed.Decode(encoded(t, gradient(20, 10))))
	if colours.Format != seed.RGB8 || colours.Width != 20 || colours.Height != 10 {
		t.Errorf("%d × %d, format %d", colours.Width, colours.Height, colours.Format)
	}
	same(t, gradient(20, 10), must[image.Image](t)(colours.Image()))
	for _, broken := range [][]byte{nil, {}, []byte("no image"), encoded(t, gradient(20, 10))[:60]} {
		if err := second(seed.Decode(broken)); err == nil {
			t.Error("what is no image was decoded")
		}
	}
	fails(t, seed.ErrFormat, second(seed.Decode([]byte("no image"))))
}

// same wants two images of the same colours.
func same(t *testing.T, expected, found image.Image) {
	t.Helper()
	if expected.Bounds() != found.Bounds() {
		t.Fatalf("bounds %v, expected %v", found.Bounds(), expected.Bounds())
	}
	for y := range expected.Bounds().Dy() {
		for x := range expected.Bounds().Dx() {
			if a, b := color.NRGBA64Model.Convert(expected.At(x, y)), color.NRGBA64Model.Convert(found.At(x, y)); a != b {
				t.Fatalf("pixel %d, %d is %v, expected %v", x, y, b, a)
			}
		}
	}
}

func TestEncodedImagesArePushed(t *testing.T) {
	folder := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(folder, "a.png"), []byte("broken"), 0o600))
	images := must[*seed.Dataset](t)(seed.OpenFolder(folder))
	defer images.Close()
	if index := must[int](t)(images.PushEncoded(encoded(t, stripes(3, 21, 13)), "Teil ü")); index != 1 {
		t.Errorf("number %d", index)
	}
	if name := must[string](t)(images.Name(1)); name != "Teil ü" {
		t.Errorf("name %q", name)
	}
	if frame := must[seed.Frame](t)(images.Pixels(1)); frame.Width != 21 || !slices.Equal(frame.Pix, stripes(3, 21, 13).Pix) {
		t.Errorf("%d × %d", frame.Width, frame.Height)
	}
	fails(t, seed.ErrFormat, second(images.Pixels(0)))
	if skipped := must[[]string](t)(images.Skipped()); len(skipped) != 1 {
		t.Errorf("skipped: %v", skipped)
	}
	fails(t, seed.ErrFormat, second(images.PushEncoded([]byte("no image"), "")))
	fails(t, seed.ErrInvalidArgument, second(images.PushEncoded(encoded(t, stripes(3, 21, 13)), "a\x00b")))
	for _, index := range []int{-1, 2, math.MaxInt} {
		fails(t, seed.ErrInvalidArgument, second(images.Pixels(index)))
	}
	if count := must[int](t)(images.Count()); count != 2 {
		t.Errorf("%d images", count)
	}
}

// A frame of every format that shows one picture becomes an image that shows it.
func TestFramesAsImages(t *testing.T) {
	const width, height, stride = 5, 3, 40
	picture := image.NewNRGBA(image.Rect(0, 0, width, height))
	rgb, bgr, rgba, bgra := make([]byte, stride*height), make([]byte, stride*height), make([]byte, stride*height), make([]byte, stride*height)
	planes := make([]float32, 3*width*height)
	deep := image.NewGray16(picture.Rect)
	grey16 := make([]uint16, width*height)
	for y := range height {
		for x := range width {
			c := color.NRGBA{R: uint8(50 * x), G: uint8(100 * y), B: uint8(255 - 40*x), A: 255}
			picture.SetNRGBA(x, y, c)
			copy(rgb[y*stride+3*x:], []byte{c.R, c.G, c.B})
			copy(bgr[y*stride+3*x:], []byte{c.B, c.G, c.R})
			copy(rgba[y*stride+4*x:], []byte{c.R, c.G, c.B, 7})
			copy(bgra[y*stride+4*x:], []byte{c.B, c.G, c.R, 0})
			for plane, value := range []uint8{c.R, c.G, c.B} {
				planes[(plane*height+y)*width+x] = float32(value) / 255
			}
			grey16[y*width+x] = uint16(9000*x + y)
			deep.SetGray16(x, y, color.Gray16{Y: uint16(9000*x + y)})
		}
	}
	for format, pixels := range map[seed.PixelFormat][]byte{seed.RGB8: rgb, seed.BGR8: bgr, seed.RGBA8: rgba, seed.BGRA8: bgra} {
		frame := seed.Frame{Pix: pixels, Width: width, Height: height, Stride: stride, Format: format}
		same(t, picture, must[image.Image](t)(frame.Image()))
	}
	same(t, picture, must[image.Image](t)(seed.PlanarFrame(planes, width, height).Image()))
	same(t, deep, must[image.Image](t)(seed.Mono16Frame(grey16, width, height).Image()))
	grey := stripes(2, 8, 4)
	frame := seed.Frame{Pix: grey.Pix[1:], Width: 6, Height: 3, Stride: 8, Format: seed.Mono8}
	copied := must[image.Image](t)(frame.Image())
	for y := range 3 {
		for x := range 6 {
			if grey.GrayAt(x+1, y) != copied.(*image.Gray).GrayAt(x, y) {
				t.Fatalf("pixel %d, %d", x, y)
			}
		}
	}
	for _, wrong := range []seed.Frame{{}, {Pix: rgb, Width: 50, Height: 50, Format: seed.RGB8}, {Pix: rgb, Width: 2, Height: 2, Format: 99}} {
		fails(t, seed.ErrInvalidArgument, second(wrong.Image()))
	}
}
