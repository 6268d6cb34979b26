package seed_test

import (
	"math"
	"path/filepath"
	"slices"
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

func TestQueueIsLookedInto(t *testing.T) {
	queue := must[*seed.Queue](t)(seed.NewQueue(4, 2, 7))
	defer queue.Close()
	ok(t, queue.Push(seed.Embeddings{Values: []float32{3, 0, 0, 5, 1, 1}, Dim: 2}))
	rows := must[seed.Embeddings](t)(queue.Rows(1, 2))
	half := float32(math.Sqrt(.5))
	for i, expected := range []float32{0, 1, half, half} {
		if math.Abs(float64(rows.Values[i]-expected)) > 1e-6 {
			t.Errorf("rows 1 and 2 are %v", rows.Values)
			break
		}
	}
	if none := must[seed.Embeddings](t)(queue.Rows(4, 0)); none.Count() != 0 || none.Dim != 2 {
		t.Errorf("no rows are %v", none)
	}
	nearest := must[seed.Nearest](t)(queue.Nearest(seed.Embeddings{Values: []float32{0, 1, 1, .1}, Dim: 2}, 2))
	if !slices.Equal(nearest.Indices[0], []uint32{1, 2}) || !slices.Equal(nearest.Indices[1], []uint32{0, 2}) ||
		math.Abs(float64(nearest.Cosines[0][1]-half)) > 1e-6 || nearest.Cosines[0][0] < .99999 {
		t.Errorf("%v", nearest)
	}
	fails(t, seed.ErrInvalidArgument, second(queue.Nearest(seed.Embeddings{Dim: 2}, 1)))
	for _, k := range []int{-1, 0, 4, math.MaxInt} {
		fails(t, seed.ErrInvalidArgument, second(queue.Nearest(seed.Embeddings{Values: []float32{0, 1}, Dim: 2}, k)))
	}
	fails(t, seed.ErrMismatch, second(queue.Nearest(seed.Embeddings{Values: []float32{0, 1, 2}, Dim: 3}, 1)))
	for _, place := range [][2]int{{-1, 1}, {0, -1}, {0, 5}, {4, 1}, {math.MaxInt, math.MaxInt}} {
		fails(t, seed.ErrInvalidArgument, second(queue.Rows(place[0], place[1])))
	}
}

func TestQueueIsRestored(t *testing.T) {
	queue := must[*seed.Queue](t)(seed.NewQueue(4, 2, 7))
	defer queue.Close()
	ok(t, queue.Push(seed.Embeddings{Values: []float32{1, 0}, Dim: 2}))
	before := must[seed.Embeddings](t)(queue.Rows(0, 4))
	snapshot := must[*seed.Queue](t)(queue.Snapshot())
	ok(t, queue.Push(seed.Embeddings{Values: []float32{0, 1, 0, -1}, Dim: 2}))
	if length := must[int](t)(snapshot.Length()); length != 1 {
		t.Errorf("the snapshot has %d rows", length)
	}
	ok(t, queue.Restore(snapshot))
	ok(t, queue.Restore(queue))
	ok(t, snapshot.Close())
	if after := must[seed.Embeddings](t)(queue.Rows(0, 4)); !slices.Equal(before.Values, after.Values) {
		t.Errorf("%v, before %v", after.Values, before.Values)
	}
	closed(t, queue.Restore(snapshot))
	other := must[*seed.Queue](t)(seed.NewQueue(5, 2, 7))
	defer other.Close()
	fails(t, seed.ErrMismatch, queue.Restore(other))
}
