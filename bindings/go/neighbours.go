package seed

// #include "bridge.h"
import "C"

import "unsafe"

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
	return inRows(found, count, k), nil
}

// Nearest is what is nearest to some queries: for each a list, nearest first.
type Nearest struct {
	// Indices are numbers of rows.
	Indices [][]uint32
	// Cosines are as many similarities, −1 to 1.
	Cosines [][]float32
}

// NeighboursIn finds for each query the k nearest vectors of a gallery by cosine.
//
// Errors: [ErrInvalidArgument] unless 1 ≤ k ≤ gallery.Count() and the widths are the same.
func NeighboursIn(queries, gallery Embeddings, k int) (Nearest, error) {
	if err := queries.check("queries"); err != nil {
		return Nearest{}, err
	}
	if err := gallery.check("the gallery's embeddings"); err != nil {
		return Nearest{}, err
	}
	if queries.Dim != gallery.Dim {
		return Nearest{}, invalid("queries are %d wide, the gallery is %d", queries.Dim, gallery.Dim)
	}
	if err := Init(); err != nil {
		return Nearest{}, err
	}
	return nearest(queries.Count(), k,
		func(indices *C.uint32_t, cosines *C.float, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_neighbours_in(floats(queries.Values), C.size_t(queries.Count()), floats(gallery.Values),
				C.size_t(gallery.Count()), C.size_t(queries.Dim), C.size_t(k), indices, cosines, capacity, length)
		})
}

// nearest makes a call that fills two tables of count·k numbers. The question for the size checks k.
func nearest(count, k int, call func(*C.uint32_t, *C.float, C.size_t, *C.size_t) *C.seed_error) (Nearest, error) {
	if k < 1 {
		return Nearest{}, invalid("k is %d, expected at least 1", k)
	}
	var length C.size_t
	if err := check(call(nil, nil, 0, &length)); err != nil {
		return Nearest{}, err
	}
	if err := fits(length, unsafe.Sizeof(uint32(0))); err != nil {
		return Nearest{}, err
	}
	numbers, cosines := make([]uint32, length), make([]float32, length)
	if err := check(call(indices(numbers), floats(cosines), length, &length)); err != nil {
		return Nearest{}, err
	}
	return Nearest{Indices: inRows(numbers, count, k), Cosines: inRows(cosines, count, k)}, nil
}

// inRows cuts a table of count·k values into its rows.
func inRows[T any](values []T, count, k int) [][]T {
	rows := make([][]T, count)
	for i := range rows {
		rows[i] = values[i*k : (i+1)*k : (i+1)*k]
	}
	return rows
}
