package seed_test

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

// newStore makes a store in a folder of its own.
func newStore(t testing.TB, options seed.StoreOptions) (*seed.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "frames.store")
	store := must[*seed.Store](t)(seed.OpenStore(path, options))
	t.Cleanup(func() { store.Close() })
	return store, path
}

func TestStoreKeepsWhatItIsGiven(t *testing.T) {
	store, _ := newStore(t, seed.StoreOptions{})
	when := time.Date(2026, 11, 24, 6, 30, 0, 123456000, time.UTC)
	embedding := []float32{3, 0, 4}
	first := must[int64](t)(store.Push(stripes(3, 40, 36), seed.StoreEntry{Name: "Teil ü", Metadata: `{"line": 4}`, Time: when,
		Embedding: embedding, Label: &seed.StoreLabel{Class: 2, Text: "scratch"}}, seed.WaitForever))
	var file bytes.Buffer
	ok(t, png.Encode(&file, stripes(5, 30, 20)))
	second := must[int64](t)(store.PushEncoded(file.Bytes(), seed.StoreEntry{Embedding: []float32{0, 1, 0}}, time.Second))
	// Its entry is read during the call only.
	embedding[0] = 77
	ok(t, store.Flush())
	if first != 1 || second != 2 {
		t.Fatalf("ids %d and %d", first, second)
	}

	record := must[seed.StoreRecord](t)(store.Describe(first))
	if !record.Time.Equal(when) || record.Class != 2 || record.Width != 40 || record.Height != 36 || record.Channels != 1 ||
		record.Bits != 8 || record.Encoding != seed.StorePNG {
		t.Errorf("the record is %+v", record)
	}
	for want, get := range map[string]func(int64) (string, error){
		"Teil ü": store.Name, `{"line": 4}`: store.Metadata, "scratch": store.LabelText,
	} {
		if found := must[string](t)(get(first)); found != want {
			t.Errorf("%q, expected %q", found, want)
		}
	}
	pixels := must[seed.Frame](t)(store.Pixels(first))
	if !bytes.Equal(pixels.Pix, stripes(3, 40, 36).Pix) {
		t.Error("other pixels came back")
	}
	if found := must[[]byte](t)(store.Encoded(second)); !bytes.Equal(found, file.Bytes()) {
		t.Error("another file came back")
	}
	vector := must[[]float32](t)(store.Embedding(first))
	if len(vector) != 3 || math.Abs(float64(vector[0])-.6) > 1e-6 || math.Abs(float64(vector[2])-.8) > 1e-6 {
		t.Errorf("the embedding is %v, expected [.6 0 .8]", vector)
	}
	if record := must[seed.StoreRecord](t)(store.Describe(second)); time.Since(record.Time).Abs() > time.Minute || record.Class != -1 {
		t.Errorf("without a time and a label: %+v", record)
	}
	if trouble := must[string](t)(store.Trouble()); trouble != "" {
		t.Errorf("trouble: %q", trouble)
	}
	stats := must[seed.StoreStats](t)(store.Stats())
	if stats.Pushed != 2 || stats.Stored != 2 || stats.Frames != 2 || stats.Bytes == 0 || stats.FileBytes == 0 || stats.Dropped != 0 {
		t.Errorf("the stats are %+v", stats)
	}
}

func TestStoreIsListedAndLabelled(t *testing.T) {
	store, _ := newStore(t, seed.StoreOptions{})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 6 {
		must[int64](t)(store.Push(stripes(i+1, 16, 16), seed.StoreEntry{Time: start.Add(time.Duration(i) * time.Hour)}, seed.WaitForever))
	}
	ok(t, store.SetLabel(2, &seed.StoreLabel{Class: 0, Text: "good"}))
	ok(t, store.SetLabel(3, &seed.StoreLabel{Class: 1, Text: "bad"}))
	ok(t, store.SetLabel(5, &seed.StoreLabel{Class: 1}))
	ok(t, store.SetLabel(2, nil))
	for _, c := range []struct {
		filter seed.StoreFilter
		want   []int64
	}{
		{seed.StoreFilter{}, []int64{1, 2, 3, 4, 5, 6}},
		{seed.StoreFilter{FirstID: 2, LastID: 4}, []int64{2, 3, 4}},
		{seed.StoreFilter{From: start.Add(time.Hour), Until: start.Add(2 * time.Hour)}, []int64{2, 3}},
		{seed.StoreFilter{Labelled: seed.OnlyLabelled}, []int64{3, 5}},
		{seed.StoreFilter{Labelled: seed.OnlyUnlabelled, Last: 2}, []int64{4, 6}},
		{seed.StoreFilter{Labelled: seed.OnlyOfClass, Class: 1}, []int64{3, 5}},
		{seed.StoreFilter{Labelled: seed.OnlyOfClass, Class: 0}, []int64{}},
	} {
		if found := must[[]int64](t)(store.List(c.filter)); !slices.Equal(found, c.want) {
			t.Errorf("%+v lists %v, expected %v", c.filter, found, c.want)
		}
	}
	if labels := must[[]int64](t)(store.Labels(5, 2, 3)); !slices.Equal(labels, []int64{1, -1, 1}) {
		t.Errorf("labels %v", labels)
	}
	if labels := must[[]int64](t)(store.Labels()); len(labels) != 0 {
		t.Errorf("labels of nothing: %v", labels)
	}
	ok(t, store.Remove())
	ok(t, store.Remove(1, 6, 99))
	if found := must[[]int64](t)(store.List(seed.StoreFilter{})); !slices.Equal(found, []int64{2, 3, 4, 5}) {
		t.Errorf("after the removal: %v", found)
	}
	fails(t, seed.ErrInvalidArgument, store.SetLabel(1, nil))
	fails(t, seed.ErrInvalidArgument, store.SetLabel(2, &seed.StoreLabel{Class: -1}))
	_, err := store.Describe(1)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = store.Labels(2, 1)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestStoreIsADataset(t *testing.T) {
	store, path := newStore(t, seed.StoreOptions{})
	_, err := store.Dataset()
	fails(t, seed.ErrInvalidArgument, err)
	session := tellingSession(t)
	ok(t, store.SetSession(session))
	for i := range 3 {
		must[int64](t)(store.Push(stripes(i+2, 40, 36), seed.StoreEntry{Name: []string{"a", "b", "c"}[i]}, seed.WaitForever))
	}
	ok(t, store.Flush())
	ok(t, store.SetSession(nil))
	reader := must[*seed.Store](t)(seed.OpenStoreToRead(path))
	defer reader.Close()
	images := must[*seed.Dataset](t)(reader.Dataset(3, 1))
	defer images.Close()
	all := must[*seed.Dataset](t)(store.Dataset())
	defer all.Close()
	if count := must[int](t)(all.Count()); count != 3 {
		t.Errorf("%d images in all", count)
	}
	reader.Close()
	vectors := must[seed.Embeddings](t)(session.EmbedDataset(t.Context(), images, nil))
	if vectors.Count() != 2 {
		t.Fatalf("%d vectors", vectors.Count())
	}
	// The store's thread has embedded the same pixels by the same session.
	for row, id := range []int64{3, 1} {
		kept := must[[]float32](t)(store.Embedding(id))
		var product, length float64
		for i, value := range vectors.Row(row) {
			product += float64(value) * float64(kept[i])
			length += float64(value) * float64(value)
		}
		if cosine := product / math.Sqrt(length); math.Abs(cosine-1) > 1e-4 {
			t.Errorf("frame %d: the cosine is %v", id, cosine)
		}
	}
	_, err = store.Dataset(1, 9)
	fails(t, seed.ErrInvalidArgument, err)
}

func TestStoreIsBounded(t *testing.T) {
	store, _ := newStore(t, seed.StoreOptions{MaxFrames: 3, Keep: seed.KeepNewest, Encoding: seed.StoreJPEG, JPEGQuality: 80})
	for i := range 7 {
		must[int64](t)(store.Push(gradient(20+i, 20), seed.StoreEntry{}, seed.WaitForever))
	}
	ok(t, store.Flush())
	if found := must[[]int64](t)(store.List(seed.StoreFilter{})); !slices.Equal(found, []int64{5, 6, 7}) {
		t.Errorf("kept %v", found)
	}
	if record := must[seed.StoreRecord](t)(store.Describe(7)); record.Encoding != seed.StoreJPEG || record.Channels != 3 {
		t.Errorf("the record is %+v", record)
	}
	if stats := must[seed.StoreStats](t)(store.Stats()); stats.Evicted != 4 {
		t.Errorf("%d were let go", stats.Evicted)
	}
	for _, options := range []seed.StoreOptions{{MaxAge: -1}, {QueueFrames: -1}, {JPEGQuality: 101}, {Keep: 9}, {Keep: seed.KeepNovel}} {
		_, err := seed.OpenStore(filepath.Join(t.TempDir(), "x"), options)
		fails(t, seed.ErrInvalidArgument, err)
	}
}

func TestStoreOfNovelFramesNeedsEmbeddings(t *testing.T) {
	store, _ := newStore(t, seed.StoreOptions{MaxFrames: 2, Keep: seed.KeepNovel})
	_, err := store.Push(stripes(2, 8, 8), seed.StoreEntry{}, 0)
	fails(t, seed.ErrInvalidArgument, err)
	for _, vector := range [][]float32{{1, 0}, {1, 0}, {0, 1}} {
		must[int64](t)(store.Push(stripes(2, 8, 8), seed.StoreEntry{Embedding: vector}, seed.WaitForever))
	}
	ok(t, store.Flush())
	kept := must[[]int64](t)(store.List(seed.StoreFilter{}))
	if len(kept) != 2 || kept[1] != 3 {
		t.Errorf("kept %v, expected the third and one of its like", kept)
	}
	_, err = store.Push(stripes(2, 8, 8), seed.StoreEntry{Embedding: []float32{1, 2, 3}}, 0)
	fails(t, seed.ErrMismatch, err)
}

func TestStoreIsCheckedAndRepaired(t *testing.T) {
	store, path := newStore(t, seed.StoreOptions{})
	_, err := seed.OpenStore(path, seed.StoreOptions{})
	fails(t, seed.ErrBusy, err)
	for i := range 4 {
		must[int64](t)(store.Push(stripes(i+1, 24, 24), seed.StoreEntry{Name: "frame"}, seed.WaitForever))
	}
	ok(t, store.Flush())
	reader := must[*seed.Store](t)(seed.OpenStoreToRead(path))
	fails(t, seed.ErrInvalidArgument, reader.Remove(1))
	reader.Close()
	seen := 0
	ok(t, seed.CheckStore(t.Context(), path, func(done, total int) error {
		if total != 4 {
			t.Errorf("%d of %d", done, total)
		}
		seen = done
		return nil
	}))
	if seen != 4 {
		t.Errorf("%d were seen", seen)
	}
	trouble := errors.New("enough")
	if err := seed.CheckStore(t.Context(), path, func(int, int) error { return trouble }); !errors.Is(err, trouble) {
		t.Errorf("the callback's error became %v", err)
	}
	fails(t, seed.ErrCancelled, seed.CheckStore(t.Context(), path, func(int, int) error { return seed.Stop }))
	ended, end := context.WithCancel(t.Context())
	end()
	if err := seed.CheckStore(ended, path, nil); !errors.Is(err, seed.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Errorf("the context's end became %v", err)
	}
	//lint:ignore SA1012 what is wrong must not crash
	fails(t, seed.ErrInvalidArgument, seed.CheckStore(nil, path, nil))

	whole := filepath.Join(t.TempDir(), "whole.store")
	_, err = seed.RepairStore(t.Context(), path, whole, nil)
	fails(t, seed.ErrBusy, err)
	ok(t, store.Close())
	repair := must[seed.StoreRepair](t)(seed.RepairStore(t.Context(), path, whole, nil))
	if repair.Saved != 4 || repair.Lost != 0 || repair.ListDamaged {
		t.Errorf("the repair is %+v", repair)
	}
	_, err = seed.RepairStore(t.Context(), path, whole, nil)
	fails(t, seed.ErrInvalidArgument, err)
	again := must[*seed.Store](t)(seed.OpenStoreToRead(whole))
	defer again.Close()
	if name := must[string](t)(again.Name(4)); name != "frame" {
		t.Errorf("the name is %q", name)
	}

	ok(t, os.WriteFile(whole+".no", []byte("no store at all, but long enough to be looked at"), 0o600))
	fails(t, seed.ErrFormat, seed.CheckStore(t.Context(), whole+".no", nil))
	_, err = seed.OpenStoreToRead(whole + ".none")
	fails(t, seed.ErrIO, err)
	var none *seed.Store
	if _, err := none.Stats(); !errors.Is(err, seed.ErrClosed) {
		t.Errorf("nil gives %v", err)
	}
	runtime.KeepAlive(store)
}
