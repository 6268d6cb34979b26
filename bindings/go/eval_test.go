package seed_test

import (
	"math"
	"slices"
	"testing"

	seed "libseed/bindings/go"
)

// clusters are two groups of twelve vectors and their labels.
func clusters() (seed.Embeddings, []int64) {
	vectors := seed.Embeddings{Dim: 2}
	var labels []int64
	for i := range 24 {
		angle := float64(i)/100 + float64(i%2)*math.Pi/2
		vectors.Values = append(vectors.Values, float32(math.Cos(angle)), float32(math.Sin(angle)))
		labels = append(labels, int64(i%2))
	}
	return vectors, labels
}

func TestKNN(t *testing.T) {
	vectors, labels := clusters()
	result := must[seed.KNNResult](t)(seed.KNN(vectors, labels, seed.KNNOptions{K: 3, Seed: 1}))
	if result.AccuracyMean != 1 || result.BalancedRecallMean != 1 || result.AccuracyDeviation != 0 || result.BalancedRecallDeviation != 0 {
		t.Errorf("%+v", result)
	}
	_, err := seed.KNN(vectors, labels[1:], seed.KNNOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.KNN(vectors, labels, seed.KNNOptions{K: -1})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.KNN(seed.Embeddings{}, nil, seed.KNNOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.KNN(seed.Embeddings{Dim: 2}, nil, seed.KNNOptions{})
	fails(t, seed.ErrInvalidArgument, err)
	// A vector without a label is left out.
	labels[3] = -1
	_, err = seed.KNN(vectors, labels, seed.KNNOptions{})
	ok(t, err)
}

func TestNeighbours(t *testing.T) {
	vectors := seed.Embeddings{Values: []float32{1, 0, 0, 1, .9, .1}, Dim: 2}
	nearest := must[[][]uint32](t)(seed.Neighbours(vectors, 1))
	if !slices.Equal(slices.Concat(nearest...), []uint32{2, 2, 0}) {
		t.Errorf("%v", nearest)
	}
	for _, k := range []int{-1, 0, 3, math.MaxInt} {
		_, err := seed.Neighbours(vectors, k)
		fails(t, seed.ErrInvalidArgument, err)
	}
	vectors.Values[0] = float32(math.Inf(1))
	_, err := seed.Neighbours(vectors, 1)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.Neighbours(seed.Embeddings{Values: vectors.Values, Dim: 4}, 1)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestKNNClassify(t *testing.T) {
	gallery := seed.Embeddings{Values: []float32{1, 0, 0, 1, .9, .1}, Dim: 2}
	queries := seed.Embeddings{Values: []float32{.1, .5, 3, 1}, Dim: 2}
	labels := []int64{4, 9, 9}
	for _, k := range []int{1, 3} {
		found := must[[]int64](t)(seed.KNNClassify(queries, gallery, labels, k, 1))
		if !slices.Equal(found, []int64{9, 9}) {
			t.Errorf("k %d: %v", k, found)
		}
	}
	for _, k := range []int{-1, 0, 4} {
		fails(t, seed.ErrInvalidArgument, second(seed.KNNClassify(queries, gallery, labels, k, .07)))
	}
	fails(t, seed.ErrInvalidArgument, second(seed.KNNClassify(queries, gallery, labels, 1, 0)))
	fails(t, seed.ErrInvalidArgument, second(seed.KNNClassify(queries, gallery, []int64{4, -1, 9}, 1, .07)))
	fails(t, seed.ErrInvalidArgument, second(seed.KNNClassify(queries, gallery, labels[1:], 1, .07)))
	fails(t, seed.ErrInvalidArgument, second(seed.KNNClassify(seed.Embeddings{Values: queries.Values, Dim: 4}, gallery, labels, 1, .07)))
}

func TestNeighboursIn(t *testing.T) {
	gallery := seed.Embeddings{Values: []float32{1, 0, 0, 2, -1, 0}, Dim: 2}
	nearest := must[seed.Nearest](t)(seed.NeighboursIn(seed.Embeddings{Values: []float32{.1, .5, -3, .1}, Dim: 2}, gallery, 3))
	if !slices.Equal(slices.Concat(nearest.Indices...), []uint32{1, 0, 2, 2, 1, 0}) {
		t.Errorf("%v", nearest.Indices)
	}
	if cosine := float64(nearest.Cosines[0][0]); math.Abs(cosine-.5/math.Sqrt(.26)) > 1e-6 {
		t.Errorf("cosine %v", cosine)
	}
	for _, k := range []int{-1, 0, 4, math.MaxInt} {
		fails(t, seed.ErrInvalidArgument, second(seed.NeighboursIn(gallery, gallery, k)))
	}
	fails(t, seed.ErrInvalidArgument, second(seed.NeighboursIn(seed.Embeddings{Values: gallery.Values, Dim: 3}, gallery, 1)))
	fails(t, seed.ErrInvalidArgument, second(seed.NeighboursIn(gallery, seed.Embeddings{}, 1)))
}

func TestAgreement(t *testing.T) {
	vectors, _ := clusters()
	if share := must[float64](t)(seed.Agreement(vectors, vectors, 3)); share != 1 {
		t.Errorf("agreement with itself is %v", share)
	}
	_, err := seed.Agreement(vectors, seed.Embeddings{Values: vectors.Values[2:], Dim: 2}, 3)
	fails(t, seed.ErrInvalidArgument, err)
	for _, k := range []int{-1, 0, 24, math.MaxInt} {
		_, err = seed.Agreement(vectors, vectors, k)
		fails(t, seed.ErrInvalidArgument, err)
	}
}

func TestCosine(t *testing.T) {
	vectors := seed.Embeddings{Values: []float32{1, 0, 3, 0, 0, 2, 0, 0}, Dim: 2}
	if vectors.Cosine(0, 1) != 1 || vectors.Cosine(0, 2) != 0 || vectors.Cosine(0, 3) != 0 {
		t.Errorf("%v, %v, %v", vectors.Cosine(0, 1), vectors.Cosine(0, 2), vectors.Cosine(0, 3))
	}
}
