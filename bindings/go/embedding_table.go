package seed

// #include "bridge.h"
import "C"

// EmbeddingTable holds embeddings that a teacher made elsewhere, one row an image. It never changes; any number of
// goroutines may use it at once.
type EmbeddingTable struct {
	_      noCopy
	handle *handle[*C.seed_embeddings]
}

// LoadEmbeddingTable reads embeddings from a file: .npy, (N, D) of float16, float32 or float64, row i for image i of the data
// set; or safetensors with a tensor "embeddings" (N, D). With "names" in the metadata of a safetensors file, a JSON list of N
// names as [Dataset.Name] has them, rows are found by name, in any order, and may be more than the data set's. Lengths of
// rows do not matter.
//
// Errors: [ErrIO], [ErrFormat] for a damaged or hostile file or another table.
func LoadEmbeddingTable(path string) (*EmbeddingTable, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newEmbeddingTable(func(out **C.seed_embeddings) *C.seed_error { return C.seed_embeddings_load(file, out) })
}

// NewEmbeddingTable copies rows; row i is image i's.
//
// Errors: [ErrInvalidArgument] when there is none or the width is above 65536.
func NewEmbeddingTable(rows Embeddings) (*EmbeddingTable, error) {
	if err := rows.check("rows"); err != nil {
		return nil, err
	}
	return newEmbeddingTable(func(out **C.seed_embeddings) *C.seed_error {
		return C.seed_embeddings_new(floats(rows.Values), C.size_t(rows.Count()), C.size_t(rows.Dim), out)
	})
}

func newEmbeddingTable(construct func(**C.seed_embeddings) *C.seed_error) (*EmbeddingTable, error) {
	h, err := create("EmbeddingTable", func(object *C.seed_embeddings) { C.seed_embeddings_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&EmbeddingTable{handle: h}, h), nil
}

func (e *EmbeddingTable) inner() *handle[*C.seed_embeddings] {
	if e == nil || e.handle == nil {
		return absent[*C.seed_embeddings]("EmbeddingTable")
	}
	return e.handle
}

// Close releases the table; teachers made of it, and their trainers, go on. The error is always nil.
func (e *EmbeddingTable) Close() error {
	e.inner().close()
	return nil
}

// Count is the number of rows.
func (e *EmbeddingTable) Count() (int, error) {
	var count C.size_t
	err := with(e.inner(), func(object *C.seed_embeddings) *C.seed_error {
		return C.seed_embeddings_count(object, &count)
	})
	return int(count), err
}

// Dim is the width of a row; the student gets it too where "embedding_dim" is 0, the default.
func (e *EmbeddingTable) Dim() (int, error) {
	var dim C.int64_t
	err := with(e.inner(), func(object *C.seed_embeddings) *C.seed_error { return C.seed_embeddings_dim(object, &dim) })
	return int(dim), err
}
