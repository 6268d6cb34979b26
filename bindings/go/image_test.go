package seed_test

import (
	"encoding/binary"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"testing"

	seed "libseed/bindings/go"
)

func TestViewsInPlace(t *testing.T) {
	grey, colours, opaque := stripes(2, 9, 7), gradient(9, 7), image.NewRGBA(image.Rect(0, 0, 9, 7))
	draw.Draw(opaque, opaque.Rect, colours, image.Point{}, draw.Src)
	for _, c := range []struct {
		image  image.Image
		pixels []byte
		format seed.PixelFormat
	}{{grey, grey.Pix, seed.Mono8}, {colours, colours.Pix, seed.RGBA8}, {opaque, opaque.Pix, seed.RGBA8}} {
		frame := must[seed.Frame](t)(seed.FrameOf(c.image))
		if frame.Format != c.format || frame.Width != 9 || frame.Height != 7 || &frame.Pix[0] != &c.pixels[0] {
			t.Errorf("%T is viewed as %v, %d × %d", c.image, frame.Format, frame.Width, frame.Height)
		}
	}
}

func TestGray16IsInTheMachinesOrder(t *testing.T) {
	img := image.NewGray16(image.Rect(3, 4, 8, 10))
	img.SetGray16(4, 5, color.Gray16{Y: 0x1234})
	part := img.SubImage(image.Rect(4, 5, 7, 8))
	frame := must[seed.Frame](t)(seed.FrameOf(part))
	if value := binary.NativeEndian.Uint16(frame.Pix); value != 0x1234 || frame.Width != 3 || frame.Height != 3 {
		t.Fatalf("the first pixel is %#x of %d × %d, expected 0x1234", value, frame.Width, frame.Height)
	}
}

// wrapped hides what an image is made of.
type wrapped struct{ image.Image }

func (w wrapped) ColorModel() color.Model { return w.Image.ColorModel() }

func TestKindsOfImagesAgree(t *testing.T) {
	colours := gradient(40, 30)
	copyTo := func(to draw.Image) image.Image {
		draw.Draw(to, to.Bounds(), colours, image.Point{}, draw.Src)
		return to
	}
	rect := colours.Rect
	half := image.NewRGBA(rect)
	for i := range half.Pix {
		half.Pix[i] = colours.Pix[i] / 2
	}
	larger := image.NewNRGBA(image.Rect(-5, -5, 60, 60))
	draw.Draw(larger, image.Rect(5, 6, 45, 36), colours, image.Point{}, draw.Src)
	ycc := image.NewYCbCr(rect, image.YCbCrSubsampleRatio444)
	for y := range 30 {
		for x := range 40 {
			pixel := colours.NRGBAAt(x, y)
			i := ycc.YOffset(x, y)
			ycc.Y[i], ycc.Cb[i], ycc.Cr[i] = color.RGBToYCbCr(pixel.R, pixel.G, pixel.B)
		}
	}
	images := []image.Image{
		colours, copyTo(image.NewRGBA(rect)), copyTo(image.NewRGBA64(rect)), copyTo(image.NewNRGBA64(rect)), half,
		larger.SubImage(image.Rect(5, 6, 45, 36)), ycc, wrapped{colours}, copyTo(image.NewPaletted(rect, palette.WebSafe)),
	}
	session := tellingSession(t)
	vectors := must[seed.Embeddings](t)(session.Embed(images...))
	for i, img := range images {
		limit := .999
		if _, coarse := img.(*image.Paletted); coarse {
			limit = .5
		}
		if cosine := vectors.Cosine(0, i); cosine < limit {
			t.Errorf("%T: cosine to the first is %v", img, cosine)
		}
	}
}

func TestGreysAgree(t *testing.T) {
	grey := stripes(3, 40, 30)
	deep := image.NewGray16(grey.Rect)
	draw.Draw(deep, deep.Rect, grey, image.Point{}, draw.Src)
	session := tellingSession(t)
	vectors := must[seed.Embeddings](t)(session.Embed(grey, deep, stripes(5, 40, 30)))
	if vectors.Cosine(0, 1) < .999999 {
		t.Errorf("8 and 16 bits have a cosine of %v", vectors.Cosine(0, 1))
	}
	if vectors.Cosine(0, 2) > .99 {
		t.Errorf("other stripes have a cosine of %v", vectors.Cosine(0, 2))
	}
}

func TestUnsoundImages(t *testing.T) {
	short := image.NewRGBA(image.Rect(0, 0, 8, 8))
	short.Pix = short.Pix[:20]
	shallow := image.NewGray16(image.Rect(0, 0, 8, 8))
	shallow.Pix = nil
	session := tellingSession(t)
	for _, img := range []image.Image{
		nil, (*image.Gray)(nil), (*image.Gray16)(nil), (*image.RGBA)(nil), (*image.NRGBA)(nil), (*image.YCbCr)(nil),
		image.NewGray(image.Rectangle{}), image.Black, short, shallow,
	} {
		_, err := session.Embed(stripes(2, 9, 9), img)
		fails(t, seed.ErrInvalidArgument, err)
	}
}
