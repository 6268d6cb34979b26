package seed

// #include "bridge.h"
import "C"

// Queue is a first-in-first-out queue of K unit rows of width C: the teacher's last embeddings. Any number of goroutines may
// use it at once; they wait for a step that is using it.
type Queue struct {
	_      noCopy
	handle *handle[*C.seed_queue]
}

// NewQueue makes a queue of capacity rows (K) of width dim (C), filled with normalised Gaussian noise drawn from seed.
func NewQueue(capacity, dim int, seed uint64) (*Queue, error) {
	if capacity < 1 || dim < 1 {
		return nil, invalid("the queue has %d rows of width %d, expected at least 1 of each", capacity, dim)
	}
	return newQueue(func(out **C.seed_queue) *C.seed_error {
		return C.seed_queue_new(C.size_t(capacity), C.size_t(dim), C.uint64_t(seed), out)
	})
}

// LoadQueue reads a queue that Save wrote.
func LoadQueue(path string) (*Queue, error) {
	var t texts
	defer t.free()
	file := t.add("path", path)
	if t.err != nil {
		return nil, t.err
	}
	return newQueue(func(out **C.seed_queue) *C.seed_error { return C.seed_queue_load(file, out) })
}

func newQueue(construct func(**C.seed_queue) *C.seed_error) (*Queue, error) {
	h, err := create("Queue", func(object *C.seed_queue) { C.seed_queue_free(object) }, construct)
	if err != nil {
		return nil, err
	}
	return owned(&Queue{handle: h}, h), nil
}

func (q *Queue) inner() *handle[*C.seed_queue] {
	if q == nil || q.handle == nil {
		return absent[*C.seed_queue]("Queue")
	}
	return q.handle
}

// Close releases the queue. The error is always nil.
func (q *Queue) Close() error {
	q.inner().close()
	return nil
}

// Save writes the queue to a safetensors file, atomically.
func (q *Queue) Save(path string) error {
	return save(q.inner(), path, func(object *C.seed_queue, file *C.char) *C.seed_error { return C.seed_queue_save(object, file) })
}

// Push enqueues embeddings of width C; each row is normalised. The oldest make room.
func (q *Queue) Push(embeddings Embeddings) error {
	if err := embeddings.check("embeddings"); err != nil {
		return err
	}
	return with(q.inner(), func(object *C.seed_queue) *C.seed_error {
		return C.seed_queue_push(object, floats(embeddings.Values), C.size_t(embeddings.Count()),
			C.size_t(embeddings.Dim))
	})
}

// Length is the number of rows that were pushed, at most the capacity; the others are noise still.
func (q *Queue) Length() (int, error) {
	var length C.size_t
	err := with(q.inner(), func(object *C.seed_queue) *C.seed_error { return C.seed_queue_length(object, &length) })
	return int(length), err
}

// Capacity is K, the number of rows.
func (q *Queue) Capacity() (int, error) {
	var capacity C.size_t
	err := with(q.inner(), func(object *C.seed_queue) *C.seed_error { return C.seed_queue_capacity(object, &capacity) })
	return int(capacity), err
}

// Dim is C, the width of a row.
func (q *Queue) Dim() (int, error) {
	var dim C.size_t
	err := with(q.inner(), func(object *C.seed_queue) *C.seed_error { return C.seed_queue_dim(object, &dim) })
	return int(dim), err
}

// Similarities are the products of each query with every row of the queue: a table of queries.Count() rows of width K.
func (q *Queue) Similarities(queries Embeddings) (Embeddings, error) {
	if err := queries.check("queries"); err != nil {
		return Embeddings{}, err
	}
	object, err := q.inner().acquire()
	if err != nil {
		return Embeddings{}, err
	}
	defer q.handle.release()
	var capacity C.size_t
	if err := check(C.seed_queue_capacity(object, &capacity)); err != nil {
		return Embeddings{}, err
	}
	values, err := fill(func(buffer *float32, size C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_queue_similarities(object, floats(queries.Values), C.size_t(queries.Count()),
			C.size_t(queries.Dim), (*C.float)(buffer), size, length)
	})
	return Embeddings{Values: values, Dim: int(capacity)}, err
}

// Nearest finds the k rows nearest to each query by cosine, nearest first, among those that were pushed.
//
// Errors: [ErrInvalidArgument] unless 1 ≤ k ≤ Length, [ErrMismatch] for another width.
func (q *Queue) Nearest(queries Embeddings, k int) (Nearest, error) {
	if err := queries.check("queries"); err != nil {
		return Nearest{}, err
	}
	object, err := q.inner().acquire()
	if err != nil {
		return Nearest{}, err
	}
	defer q.handle.release()
	return nearest(queries.Count(), k,
		func(indices *C.uint32_t, cosines *C.float, capacity C.size_t, length *C.size_t) *C.seed_error {
			return C.seed_queue_nearest(object, floats(queries.Values), C.size_t(queries.Count()), C.size_t(queries.Dim),
				C.size_t(k), indices, cosines, capacity, length)
		})
}

// Rows are count rows from row first on. Row j is column j of Similarities; rows from Length on are noise.
func (q *Queue) Rows(first, count int) (Embeddings, error) {
	if first < 0 || count < 0 {
		return Embeddings{}, invalid("%d rows from %d on were asked for, expected numbers from 0", count, first)
	}
	object, err := q.inner().acquire()
	if err != nil {
		return Embeddings{}, err
	}
	defer q.handle.release()
	var dim C.size_t
	if err := check(C.seed_queue_dim(object, &dim)); err != nil {
		return Embeddings{}, err
	}
	values, err := fill(func(buffer *float32, capacity C.size_t, length *C.size_t) *C.seed_error {
		return C.seed_queue_rows(object, C.size_t(first), C.size_t(count), (*C.float)(buffer), capacity, length)
	})
	return Embeddings{Values: values, Dim: int(dim)}, err
}

// Snapshot is a copy of the queue as it is now, to be put back by Restore.
func (q *Queue) Snapshot() (*Queue, error) {
	object, err := q.inner().acquire()
	if err != nil {
		return nil, err
	}
	defer q.handle.release()
	return newQueue(func(out **C.seed_queue) *C.seed_error { return C.seed_queue_snapshot(object, out) })
}

// Restore makes the queue what snapshot is: any queue of the same K and C, which is left as it is.
//
// Errors: [ErrMismatch] when K or C differ; the queue is left as it was.
func (q *Queue) Restore(snapshot *Queue) error {
	source, err := snapshot.inner().acquire()
	if err != nil {
		return err
	}
	defer snapshot.handle.release()
	return with(q.inner(), func(object *C.seed_queue) *C.seed_error { return C.seed_queue_restore(object, source) })
}
