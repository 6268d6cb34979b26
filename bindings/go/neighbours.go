package seed

// #include "bridge.h"
import "C"

// Neighbours finds the k nearest of each vector by cosine, itself left out, nearest first: for each a list of k rows.
//
// Errors: [ErrInvalidArgument] unless 1 ≤ k < Count.
func Neighbours(embeddings Embeddings, k int) ([][]uint32, error) {
	if err := embeddings.check("embeddings"); err != nil {
		return nil, err
	}
	count := embeddings.Count()
	if k < 1 || k >= count {
		return nil, invalid("k is %d, expected 1 to %d, the number of other embeddings", k, count-1)
	}
	if err := Init(); err != nil {
		return nil, err
	}
	found, err := fill(func(buffer *uint32, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_neighbours(floats(embeddings.Values), C.size_t(count), C.size_t(embeddings.Dim), C.size_t(k),
			(*C.uint32_t)(buffer), capacity, length)
	})
	if err != nil {
		return nil, err
	}
	rows := make([][]uint32, count)
	for i := range rows {
		rows[i] = found[i*k : (i+1)*k : (i+1)*k]
	}
	return rows, nil
}
