package seed_test

import (
	"image"
	"math"
	"runtime"
	"syscall"
	"testing"

	seed "libseed/bindings/go"
)

var formats = map[seed.PixelFormat]struct{ pixelBits, planes int }{
	seed.Mono8: {8, 1}, seed.Mono16: {16, 1}, seed.RGB8: {24, 1}, seed.BGR8: {24, 1}, seed.RGBA8: {32, 1}, seed.BGRA8: {32, 1},
	seed.PlanarFloat32: {32, 3}, seed.Mono10: {16, 1}, seed.Mono12: {16, 1}, seed.Mono14: {16, 1}, seed.Mono10p: {10, 1},
	seed.Mono12p: {12, 1}, seed.Mono12Packed: {12, 1}, seed.BayerRG8: {8, 1}, seed.BayerGR8: {8, 1}, seed.BayerGB8: {8, 1},
	seed.BayerBG8: {8, 1}, seed.BayerRG12: {16, 1}, seed.BayerGR12: {16, 1}, seed.BayerGB12: {16, 1}, seed.BayerBG12: {16, 1},
	seed.RGB16: {48, 1}, seed.MonoFloat32: {32, 1},
}

func TestFramesOfAllFormats(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	for format, layout := range formats {
		for _, padding := range []int{0, 7} {
			// Of 21 pixels, rows of packed formats end within a byte.
			row := (21*layout.pixelBits + 7) / 8
			stride := row + padding
			// The last row is not padded.
			frame := seed.Frame{
				Pix:   make([]byte, (10*layout.planes-1)*stride+row),
				Width: 21, Height: 10, Stride: stride, Format: format,
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

// A ramp of 12 bits: what each format shows of it, and how many levels a range makes of it.
func TestDeepFrames(t *testing.T) {
	const width, height = 64, 64
	ramp := make([]uint16, width*height)
	floats := make([]float32, width*height)
	var packed []byte
	for i := range ramp {
		ramp[i], floats[i] = uint16(i), float32(i)
		if i%2 == 1 {
			before := i - 1
			packed = append(packed, byte(before), byte(before>>8)|byte(i&15)<<4, byte(i>>4))
		}
	}
	twelve := seed.Mono16Frame(ramp, width, height)
	twelve.Format = seed.Mono12
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	must[int](t)(images.PushFrame(twelve, "low bits"))
	must[int](t)(images.PushFrame(seed.Frame{Pix: packed, Width: width, Height: height, Format: seed.Mono12p}, "packed"))
	levels := func(index int) map[byte]bool {
		seen := map[byte]bool{}
		for _, level := range must[seed.Frame](t)(images.Pixels(index)).Pix {
			seen[level] = true
		}
		return seen
	}
	if found := len(levels(0)); found != 256 {
		t.Errorf("%d levels by the upper 8 of 12 bits", found)
	}
	if must[string](t)(images.Range()) != "" {
		t.Error("a range that nobody set")
	}
	config := must[*seed.Config](t)(seed.NewConfig())
	defer config.Close()
	ok(t, config.Parse("range=dataset range.low_percentile=25 range.high_percentile=50"))
	ok(t, images.SetRange(config))
	if found := must[string](t)(images.Range()); found != "range=fixed range.low=1023 range.high=2047 range.gamma=1" {
		t.Errorf("the range is %q", found)
	}
	first, second := must[seed.Frame](t)(images.Pixels(0)), must[seed.Frame](t)(images.Pixels(1))
	if string(first.Pix) != string(second.Pix) || first.Pix[1023] != 0 || first.Pix[1535] != 128 || first.Pix[2047] != 255 {
		t.Errorf("levels %d, %d, %d", first.Pix[1023], first.Pix[1535], first.Pix[2047])
	}
	fails(t, seed.ErrConfig, config.Parse("range=fixed range.low=7"))
	ok(t, config.SetString("range", "fixed"))
	fails(t, seed.ErrConfig, images.SetRange(config))
	_, err := images.PushFrame(seed.FloatFrame([]float32{1, float32(math.NaN())}, 2, 1), "")
	fails(t, seed.ErrInvalidArgument, err)
	must[int](t)(images.PushFrame(seed.FloatFrame(floats, width, height), ""))
	if found := must[seed.Frame](t)(images.Pixels(2)); string(found.Pix) != string(first.Pix) {
		t.Error("floats of the same numbers have other levels")
	}
	mask := must[seed.Frame](t)(seed.PolygonMask([]float32{0, 0, 64, 0, 0, 64}, 64, 64))
	if len(mask.Pix) != 64*64 || mask.Pix[0] != 255 || mask.Pix[4095] != 0 {
		t.Errorf("a mask of %d pixels", len(mask.Pix))
	}
	ok(t, images.SetIgnored(mask))
	ok(t, images.SetIgnoredOf(1, mask))
	fails(t, seed.ErrInvalidArgument, images.SetIgnoredOf(-1, mask))
	ok(t, images.SetIgnoredOf(1, seed.Frame{}))
	ok(t, images.SetIgnored(seed.Frame{}))
	_, err = seed.PolygonMask([]float32{0, 0, 1, 1}, 64, 64)
	fails(t, seed.ErrInvalidArgument, err)
	ok(t, config.Parse("range=full exif=ignore page=3"))
	ok(t, images.SetReading(config))
	if index := must[int](t)(images.PushEncoded([]byte("P5 2 1 4095\n\x0f\xff\x00\x20"), "deep")); index != 3 {
		t.Errorf("a PGM has the number %d", index)
	}
	fails(t, seed.ErrInvalidArgument, images.SetReading(nil))
	picture := must[image.Image](t)(twelve.Image())
	if grey, _, _, _ := picture.At(63, 63).RGBA(); grey != 4095<<4 {
		t.Errorf("the last pixel is %d", grey)
	}
}
