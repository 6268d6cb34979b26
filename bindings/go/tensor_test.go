package seed_test

import (
	"errors"
	"testing"
	"unsafe"

	seed "libseed/bindings/go"
	"libseed/bindings/go/internal/dlpacktest"
)

// batchOf is a DLPack tensor of grey images of one size.
func batchOf(major int, periods ...int) unsafe.Pointer {
	var pixels []byte
	for _, period := range periods {
		pixels = append(pixels, stripes(period, 40, 36).Pix...)
	}
	return dlpacktest.Bytes(major, pixels, len(periods), 36, 40, 1)
}

func TestTensorsGiveTheVectorsOfImages(t *testing.T) {
	session := tellingSession(t)
	before := dlpacktest.Deleted()
	tensor := must[*seed.Tensor](t)(session.EmbedDLPack(batchOf(1, 2, 7)))
	if deleted := dlpacktest.Deleted() - before; deleted != 1 {
		t.Errorf("the images were deleted %d times", deleted)
	}
	vectors := must[seed.Embeddings](t)(tensor.Embeddings())
	expected := must[seed.Embeddings](t)(session.Embed(stripes(2, 40, 36), stripes(7, 40, 36)))
	if vectors.Count() != 2 || vectors.Dim != dim {
		t.Fatalf("%d vectors of %d", vectors.Count(), vectors.Dim)
	}
	both := seed.Embeddings{Values: append(vectors.Values, expected.Values...), Dim: dim}
	if both.Cosine(0, 2) < .9999 || both.Cosine(1, 3) < .9999 {
		t.Errorf("cosines %v and %v with the vectors of the images", both.Cosine(0, 2), both.Cosine(1, 3))
	}
	if both.Cosine(0, 1) > .9999 {
		t.Error("the two images look the same")
	}
	ok(t, tensor.Close())
	ok(t, tensor.Close())
	closed(t, second(tensor.Embeddings()))
	if tensor.Release() != nil {
		t.Error("a closed tensor is handed out")
	}
}

func TestTensorsAreHandedOut(t *testing.T) {
	before := seed.OpenObjects()
	tensor := must[*seed.Tensor](t)(tellingSession(t).EmbedDLPack(batchOf(1, 3)))
	raw := tensor.Release()
	if raw == nil {
		t.Fatal("nothing is handed out")
	}
	ok(t, tensor.Close())
	if left := seed.OpenObjects() - before; left > 0 {
		t.Errorf("%d objects are still there", left)
	}
	// It is whole: vectors can only be refused for their shape, and are taken over for that.
	fails(t, seed.ErrInvalidArgument, second(tellingSession(t).EmbedDLPack(raw)))
}

func TestRefusedTensorsAreTakenOver(t *testing.T) {
	session := newSession(t, smallConfig(t))
	before := dlpacktest.Deleted()
	fails(t, seed.ErrInvalidArgument, second(session.EmbedDLPack(nil)))
	fails(t, seed.ErrInvalidArgument, second(session.EmbedDLPack(batchOf(2, 3))))
	fails(t, seed.ErrInvalidArgument, second(session.EmbedDLPack(dlpacktest.Bytes(1, make([]byte, 2*8*8), 1, 8, 8, 2))))
	ok(t, session.Close())
	if err := second(session.EmbedDLPack(batchOf(1, 3))); !errors.Is(err, seed.ErrClosed) {
		t.Errorf("%v", err)
	}
	if deleted := dlpacktest.Deleted() - before; deleted != 3 {
		t.Errorf("%d of 3 tensors were deleted", deleted)
	}
}

func TestForgottenTensorsAreDeleted(t *testing.T) {
	before := seed.OpenObjects()
	for range 20 {
		must[*seed.Tensor](t)(tellingSession(t).EmbedDLPack(batchOf(1, 3)))
	}
	collectUntil(t, func() bool { return seed.OpenObjects() <= before })
}
