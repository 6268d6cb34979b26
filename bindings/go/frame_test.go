package seed_test

import (
	"math"
	"runtime"
	"syscall"
	"testing"

	seed "libseed/bindings/go"
)

var formats = map[seed.PixelFormat]struct{ pixelBytes, planes int }{
	seed.Mono8: {1, 1}, seed.Mono16: {2, 1}, seed.RGB8: {3, 1}, seed.BGR8: {3, 1}, seed.RGBA8: {4, 1}, seed.BGRA8: {4, 1},
	seed.PlanarFloat32: {4, 3},
}

func TestFramesOfAllFormats(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	for format, layout := range formats {
		for _, padding := range []int{0, 7} {
			stride := 20*layout.pixelBytes + padding
			// The last row is not padded.
			frame := seed.Frame{
				Pix:   make([]byte, (10*layout.planes-1)*stride+20*layout.pixelBytes),
				Width: 20, Height: 10, Stride: stride, Format: format,
			}
			must[int](t)(images.PushFrame(frame, ""))
			frame.Pix = frame.Pix[:len(frame.Pix)-1]
			_, err := images.PushFrame(frame, "")
			fails(t, seed.ErrInvalidArgument, err)
		}
	}
	if count := must[int](t)(images.Count()); count != 2*len(formats) {
		t.Errorf("%d images", count)
	}
}

func TestUnsoundFrames(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	pixels := make([]byte, 100)
	for name, frame := range map[string]seed.Frame{
		"zero":            {},
		"no pixels":       {Width: 1, Height: 1, Format: seed.Mono8},
		"no width":        {Pix: pixels, Height: 1, Format: seed.Mono8},
		"negative":        {Pix: pixels, Width: -1, Height: -1, Format: seed.Mono8},
		"unknown format":  {Pix: pixels, Width: 2, Height: 2, Format: 77},
		"negative stride": {Pix: pixels, Width: 2, Height: 2, Stride: -2, Format: seed.Mono8},
		"short stride":    {Pix: pixels, Width: 2, Height: 2, Stride: 1, Format: seed.Mono8},
		"huge stride":     {Pix: pixels, Width: 2, Height: 9, Stride: math.MaxInt, Format: seed.Mono8},
		"huge":            {Pix: pixels, Width: math.MaxInt, Height: math.MaxInt, Format: seed.RGB8},
		"overflowing":     {Pix: pixels, Width: math.MaxUint32, Height: math.MaxUint32, Stride: math.MaxInt, Format: seed.RGB8},
		"wrapping":        {Pix: pixels, Width: 1, Height: 3, Stride: math.MaxInt, Format: seed.PlanarFloat32},
	} {
		if _, err := images.PushFrame(frame, ""); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			fails(t, seed.ErrInvalidArgument, err)
		}
	}
}

func TestFormatsAgree(t *testing.T) {
	const width, height = 24, 20
	red, green, blue := make([]byte, width*height), make([]byte, width*height), make([]byte, width*height)
	planar := make([]float32, 3*width*height)
	rgb, bgra := seed.Frame{Width: width, Height: height, Format: seed.RGB8}, seed.Frame{Width: width, Height: height, Format: seed.BGRA8}
	for i := range red {
		red[i], green[i], blue[i] = byte(i), byte(3*i), byte(255-i)
		rgb.Pix = append(rgb.Pix, red[i], green[i], blue[i])
		bgra.Pix = append(bgra.Pix, blue[i], green[i], red[i], byte(i))
		planar[i], planar[width*height+i] = float32(red[i])/255, float32(green[i])/255
		planar[2*width*height+i] = float32(blue[i]) / 255
	}
	session := tellingSession(t)
	vectors := must[seed.Embeddings](t)(session.EmbedFrames(rgb, bgra, seed.PlanarFrame(planar, width, height)))
	if vectors.Cosine(0, 1) < .99999 || vectors.Cosine(0, 2) < .99999 {
		t.Errorf("cosines %v, %v, expected 1", vectors.Cosine(0, 1), vectors.Cosine(0, 2))
	}
}

// Frames may lie in memory that the garbage collector does not know, and in one that it is busy with.
func TestFramesOutsideOfGo(t *testing.T) {
	memory, err := syscall.Mmap(-1, 0, 1<<16, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	ok(t, err)
	defer syscall.Munmap(memory)
	session := tellingSession(t)
	var frames []seed.Frame
	for range 5 {
		frames = append(frames, seed.Frame{Pix: memory, Width: 32, Height: 32, Format: seed.Mono8})
		frames = append(frames, seed.Frame{Pix: make([]byte, 32*32), Width: 32, Height: 32, Format: seed.Mono8})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 {
			runtime.GC()
		}
	}()
	vectors := must[seed.Embeddings](t)(session.EmbedFrames(frames...))
	<-done
	if vectors.Count() != 10 || vectors.Cosine(0, 9) < .99999 {
		t.Errorf("%d vectors", vectors.Count())
	}
}
