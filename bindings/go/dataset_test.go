package seed_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	seed "libseed/bindings/go"
)

func TestFolder(t *testing.T) {
	folder := imageFolder(t, 3)
	ok(t, os.WriteFile(filepath.Join(folder, "01.png"), []byte("no image"), 0o600))
	images := must[*seed.Dataset](t)(seed.OpenFolder(folder))
	defer images.Close()
	if count := must[int](t)(images.Count()); count != 3 {
		t.Fatalf("%d images", count)
	}
	if name := must[string](t)(images.Name(2)); name != "02.png" {
		t.Errorf("the last is named %q", name)
	}
	if skipped := must[[]string](t)(images.Skipped()); len(skipped) != 0 {
		t.Errorf("skipped before anything was read: %v", skipped)
	}
	vectors := must[seed.Embeddings](t)(newSession(t, smallConfig(t)).EmbedDataset(t.Context(), images, nil))
	for _, value := range vectors.Row(1) {
		if value != 0 {
			t.Fatal("the broken image has numbers other than 0")
		}
	}
	if broken := must[[]bool](t)(images.Broken()); len(broken) < 2 || !slices.Contains(broken, true) || !slices.Contains(broken, false) {
		t.Errorf("broken: %v", broken)
	}
	if skipped := must[[]string](t)(images.Skipped()); len(skipped) != 1 || !strings.HasPrefix(skipped[0], "01.png: ") {
		t.Errorf("skipped: %v", skipped)
	}
	if index := must[int](t)(images.Push(stripes(2, 9, 9), "")); index != 3 {
		t.Errorf("the pushed image has number %d", index)
	}
	if name := must[string](t)(images.Name(3)); name != "3" {
		t.Errorf("the pushed image is named %q", name)
	}
}

func TestFiles(t *testing.T) {
	folder := imageFolder(t, 2)
	first, second := filepath.Join(folder, "01.png"), filepath.Join(folder, "00.png")
	images := must[*seed.Dataset](t)(seed.OpenFiles(first, second))
	defer images.Close()
	if name := must[string](t)(images.Name(0)); !strings.HasSuffix(name, "01.png") {
		t.Errorf("the first is named %q", name)
	}
	_, err := seed.OpenFiles()
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.OpenFolder(t.TempDir())
	fails(t, seed.ErrInvalidArgument, err)
}

func TestNamesOutOfBounds(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	for _, index := range []int{-1, 0, 1 << 40} {
		_, err := images.Name(index)
		fails(t, seed.ErrInvalidArgument, err)
	}
}

func TestPushByMany(t *testing.T) {
	images := must[*seed.Dataset](t)(seed.NewDataset())
	defer images.Close()
	var group sync.WaitGroup
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			for range 20 {
				if _, err := images.Push(stripes(2, 8, 8), ""); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	if count := must[int](t)(images.Count()); count != 160 {
		t.Errorf("%d images", count)
	}
}
