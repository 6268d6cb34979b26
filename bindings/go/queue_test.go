package seed_test

import (
	"math"
	"path/filepath"
	"testing"

	seed "libseed/bindings/go"
)

func TestQueue(t *testing.T) {
	queue := must[*seed.Queue](t)(seed.NewQueue(2, 3, 7))
	defer queue.Close()
	ok(t, queue.Push(seed.Embeddings{Values: []float32{3, 4, 0, 0, 0, 2, 1, 0, 0}, Dim: 3}))
	length, capacity, width := must[int](t)(queue.Length()), must[int](t)(queue.Capacity()), must[int](t)(queue.Dim())
	if length != 2 || capacity != 2 || width != 3 {
		t.Errorf("%d of %d rows of width %d", length, capacity, width)
	}
	similarities := must[seed.Embeddings](t)(queue.Similarities(seed.Embeddings{Values: []float32{0, 0, 2, 1, 0, 0}, Dim: 3}))
	if similarities.Count() != 2 || similarities.Dim != 2 {
		t.Fatalf("%d rows of %d similarities", similarities.Count(), similarities.Dim)
	}
	// (0,0,2)·(0,0,1) and (0,0,2)·(1,0,0)
	if row := similarities.Row(0); math.Abs(float64(row[0]+row[1]-2)) > 1e-5 {
		t.Errorf("similarities %v", row)
	}
	file := filepath.Join(t.TempDir(), "queue.safetensors")
	ok(t, queue.Save(file))
	again := must[*seed.Queue](t)(seed.LoadQueue(file))
	defer again.Close()
	if length := must[int](t)(again.Length()); length != 2 {
		t.Errorf("read again it has %d rows", length)
	}
}

func TestQueueRefuses(t *testing.T) {
	queue := must[*seed.Queue](t)(seed.NewQueue(2, 3, 7))
	defer queue.Close()
	for _, rows := range []seed.Embeddings{
		{}, {Values: []float32{1, 2, 3, 4}, Dim: 4}, {Values: []float32{1, 2, 3, 4}, Dim: 3}, {Values: []float32{1}, Dim: -1},
		{Values: []float32{1, 2, float32(math.NaN())}, Dim: 3},
	} {
		fails(t, seed.ErrInvalidArgument, queue.Push(rows))
		_, err := queue.Similarities(rows)
		fails(t, seed.ErrInvalidArgument, err)
	}
	ok(t, queue.Push(seed.Embeddings{Dim: 3}))
	if none := must[seed.Embeddings](t)(queue.Similarities(seed.Embeddings{Dim: 3})); none.Count() != 0 {
		t.Errorf("%d rows of similarities to nothing", none.Count())
	}
	for _, size := range []int{0, -1, math.MaxInt} {
		_, err := seed.NewQueue(size, 3, 0)
		fails(t, seed.ErrInvalidArgument, err)
	}
	_, err := seed.LoadQueue("/no/such/folder/queue")
	fails(t, seed.ErrIO, err)
	fails(t, seed.ErrIO, queue.Save("/no/such/folder/queue"))
}
