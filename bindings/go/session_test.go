package seed_test

import (
	"context"
	"errors"
	"image"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	seed "libseed/bindings/go"
)

func TestSessionsOfAllKinds(t *testing.T) {
	config := smallConfig(t)
	student := newStudent(t, config)
	file := filepath.Join(t.TempDir(), "student.safetensors")
	ok(t, student.Save(file))
	read := must[*seed.Student](t)(seed.LoadStudent(file, config))
	defer read.Close()
	sessions := []*seed.Session{
		must[*seed.Session](t)(seed.OpenSession(file, config)),
		must[*seed.Session](t)(seed.SessionFromStudent(student, config)),
		must[*seed.Session](t)(seed.SessionFromStudent(read, config)),
		must[*seed.Session](t)(seed.SessionFromTeacher(newTeacher(t, config), config)),
	}
	for i, session := range sessions {
		defer session.Close()
		vectors := must[seed.Embeddings](t)(session.Embed(stripes(4, 40, 30), gradient(64, 64)))
		if vectors.Count() != 2 || vectors.Dim != dim || must[int](t)(session.Dim()) != dim {
			t.Errorf("session %d gives %d vectors of %d", i, vectors.Count(), vectors.Dim)
		}
		if text := must[string](t)(session.Describe()); !strings.HasPrefix(text, "cpu") {
			t.Errorf("session %d says %q", i, text)
		}
		if text := must[string](t)(session.Engine()); text != `libtorch: the setting "engine" is "libtorch"` {
			t.Errorf("session %d runs by %q", i, text)
		}
		if i < 3 && must[int64](t)(session.ParameterCount()) != must[int64](t)(student.ParameterCount()) {
			t.Errorf("session %d has another number of parameters than its student", i)
		}
	}
	if width := must[int](t)(student.Dim()); width != dim {
		t.Errorf("the student's width is %d", width)
	}
	_, err := seed.OpenSession("/no/such/file", config)
	fails(t, seed.ErrIO, err)
}

func TestResize(t *testing.T) {
	for i, word := range []string{"whole", "letterbox", "centre"} {
		config := smallConfig(t)
		ok(t, config.SetString("resize", word))
		fails(t, seed.ErrConfig, config.SetString("resize", "stretch"))
		session := newSession(t, config)
		model := must[*seed.Model](t)(seed.ModelOfSession(session))
		defer model.Close()
		kind := []seed.ResizeKind{seed.ResizeWhole, seed.ResizeLetterbox, seed.ResizeCentre}[i]
		if found := must[seed.ModelInfo](t)(model.Info()).Resize; found != kind {
			t.Errorf("%s is %d", word, found)
		}
		white := stripes(1000, 2*side, side)
		for i := range white.Pix {
			white.Pix[i] = 255
		}
		bytes := must[[]byte](t)(session.Preprocess(white, white))
		if len(bytes) != 2*3*side*side {
			t.Fatalf("%d bytes", len(bytes))
		}
		// The first rows of a letterbox are ImageNet's mean colour.
		first, middle := byte(255), bytes[3*(side/2*side+side/2)]
		if word == "letterbox" {
			first = 124
		}
		if bytes[0] != first || middle != 255 || !slices.Equal(bytes[:len(bytes)/2], bytes[len(bytes)/2:]) {
			t.Errorf("%s: %d at the border, %d in the middle", word, bytes[0], middle)
		}
	}
}

func TestEmbedInto(t *testing.T) {
	session := newSession(t, smallConfig(t))
	frame := must[seed.Frame](t)(seed.FrameOf(stripes(4, 40, 30)))
	buffer := make([]float32, 2*dim+1)
	buffer[2*dim] = 77
	if length := must[int](t)(session.EmbedInto(buffer, frame, frame)); length != 2*dim || buffer[2*dim] != 77 {
		t.Errorf("%d numbers", length)
	}
	if !slices.Equal(buffer[:2*dim], must[seed.Embeddings](t)(session.EmbedFrames(frame, frame)).Values) {
		t.Error("EmbedFrames gives something else")
	}
	for _, small := range [][]float32{nil, {}, make([]float32, dim-1)} {
		_, err := session.EmbedInto(small, frame)
		fails(t, seed.ErrBufferTooSmall, err)
	}
	if none := must[seed.Embeddings](t)(session.Embed()); none.Count() != 0 || none.Dim != dim {
		t.Errorf("no image gives %d vectors", none.Count())
	}
}

func TestOneSessionByMany(t *testing.T) {
	session := tellingSession(t)
	images := []image.Image{stripes(2, 40, 30), stripes(5, 33, 47), gradient(64, 20)}
	expected := must[seed.Embeddings](t)(session.Embed(images...))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for round := range 10 {
				number := (worker + round) % len(images)
				vectors, err := session.Embed(images[number])
				if err != nil {
					t.Error(err)
					return
				}
				both := seed.Embeddings{Values: slices.Concat(vectors.Values, expected.Row(number)), Dim: dim}
				if both.Cosine(0, 1) < .9999 {
					t.Errorf("image %d has a cosine of %v to itself", number, both.Cosine(0, 1))
				}
			}
		}()
	}
	group.Wait()
}

func TestEmbedDataset(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.OpenFolder(imageFolder(t, 40)))
	defer images.Close()
	session := newSession(t, smallConfig(t))
	last, calls := 0, 0
	vectors := must[seed.Embeddings](t)(session.EmbedDataset(t.Context(), images, func(done, total int) error {
		if done < last || total != 40 {
			t.Errorf("%d of %d after %d", done, total, last)
		}
		last, calls = done, calls+1
		return nil
	}))
	if vectors.Count() != 40 || vectors.Dim != dim || last != 40 || calls < 2 {
		t.Errorf("%d vectors of %d; %d calls up to %d", vectors.Count(), vectors.Dim, calls, last)
	}
	for _, value := range vectors.Values {
		if math.IsNaN(float64(value)) {
			t.Fatal("a value is not a number")
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	_, err := session.EmbedDataset(ctx, images, func(int, int) error {
		cancel()
		return nil
	})
	// The token may be raised just too late to be seen.
	if err != nil && (!errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled)) {
		t.Errorf("%v", err)
	}
	_, err = session.EmbedDataset(ctx, images, nil)
	fails(t, seed.ErrCancelled, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	enough := errors.New("enough")
	if _, err = session.EmbedDataset(t.Context(), images, func(int, int) error { return enough }); err != enough {
		t.Errorf("%v", err)
	}
	_, err = session.EmbedDataset(t.Context(), images, func(int, int) error { return seed.Stop })
	fails(t, seed.ErrCancelled, err)
}

func TestEmbedEmptyAndGrowingDatasets(t *testing.T) {
	session := newSession(t, smallConfig(t))
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	_, err := session.EmbedDataset(t.Context(), images, nil)
	fails(t, seed.ErrInvalidArgument, err)
	must[int](t)(images.Push(stripes(2, 16, 16), ""))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if _, err := images.Push(stripes(2, 16, 16), ""); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 5 {
		vectors := must[seed.Embeddings](t)(session.EmbedDataset(t.Context(), images, nil))
		if len(vectors.Values) != vectors.Count()*dim {
			t.Errorf("%d numbers", len(vectors.Values))
		}
	}
	<-done
}

func TestSessionsSwap(t *testing.T) {
	config := smallConfig(t)
	image := stripes(4, 40, 30)
	var sessions [2]*seed.Session
	var vectors [2][]float32
	for i := range sessions {
		ok(t, config.SetInt("seed", int64(i)))
		sessions[i] = newSession(t, config)
		vectors[i] = must[seed.Embeddings](t)(sessions[i].Embed(image)).Values
	}
	if slices.Equal(vectors[0], vectors[1]) {
		t.Fatal("the two students are the same")
	}
	for round := range 3 {
		for i := range sessions {
			found := must[seed.Embeddings](t)(sessions[i].Embed(image)).Values
			both := seed.Embeddings{Values: append(slices.Clone(found), vectors[(i+round)%2]...), Dim: dim}
			if cosine := both.Cosine(0, 1); cosine < .99999 {
				t.Errorf("after %d exchanges session %d gives another vector: cosine %v", round, i, cosine)
			}
		}
		ok(t, sessions[0].Swap(sessions[1]))
	}
	ok(t, sessions[0].Swap(sessions[0]))
	ok(t, config.SetInt("embedding_dim", 8))
	fails(t, seed.ErrMismatch, sessions[0].Swap(newSession(t, config)))
	ok(t, sessions[1].Close())
	closed(t, sessions[0].Swap(sessions[1]))
}
