package seed

import "math"

// Embeddings are vectors of one width, row after row.
type Embeddings struct {
	// Values holds Count()·Dim numbers.
	Values []float32
	// Dim is the width of a row.
	Dim int
}

// Count is the number of rows.
func (e Embeddings) Count() int {
	if e.Dim < 1 {
		return 0
	}
	return len(e.Values) / e.Dim
}

// Row is vector i, in the memory of Values. It panics, as slices do, where there is none.
func (e Embeddings) Row(i int) []float32 {
	return e.Values[i*e.Dim : (i+1)*e.Dim : (i+1)*e.Dim]
}

// Cosine is the cosine between rows i and j, −1 to 1; 0 where one of them is all zeros.
func (e Embeddings) Cosine(i, j int) float64 {
	var product, left, right float64
	a, b := e.Row(i), e.Row(j)
	for d := range a {
		x, y := float64(a[d]), float64(b[d])
		product, left, right = product+x*y, left+x*x, right+y*y
	}
	if left == 0 || right == 0 {
		return 0
	}
	return product / math.Sqrt(left*right)
}

// check finds tables that C would read past the end of.
func (e Embeddings) check(name string) error {
	if e.Dim < 1 || len(e.Values)%e.Dim != 0 {
		return invalid("%s hold %d numbers, expected a multiple of their width %d", name, len(e.Values), e.Dim)
	}
	return nil
}
