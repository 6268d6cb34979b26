package seed_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

// A program that ends while its goroutines are inside the library does so at once and with its own exit code.
func TestProcessEndsDuringCalls(t *testing.T) {
	if way := os.Getenv("SEED_LEAVE"); way != "" {
		leave(t, way)
	}
	rounds := 4
	if text := os.Getenv("LEAVING_ROUNDS"); text != "" {
		rounds = must[int](t)(strconv.Atoi(text))
	}
	for _, way := range []string{"embed", "train", "bank", "fit", "store"} {
		for range rounds {
			program := exec.Command(os.Args[0], "-test.run=^TestProcessEndsDuringCalls$")
			program.Env = append(os.Environ(), "SEED_LEAVE="+way, "TMPDIR="+t.TempDir())
			output, err := program.StdoutPipe()
			ok(t, err)
			ok(t, program.Start())
			lines := bufio.NewScanner(output)
			for lines.Scan() && lines.Text() != "leaving" {
				t.Log(lines.Text())
			}
			began := time.Now()
			err = program.Wait()
			took := time.Since(began)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 7 {
				t.Errorf("%s: %v, expected the exit code 7", way, err)
			}
			if took > 10*time.Second {
				t.Errorf("%s: the end took %v", way, took)
			}
		}
	}
}

// leave works in two goroutines and ends the process in the middle.
func leave(t *testing.T, way string) {
	config := smallConfig(t)
	var calls atomic.Int32
	count := func() error {
		calls.Add(1)
		return nil
	}
	ctx := context.Background()
	var work func(folder string) error
	switch way {
	case "embed":
		session := newSession(t, config)
		work = func(string) error {
			_, err := session.Embed(stripes(3, 40, 36))
			return errors.Join(err, count())
		}
	case "train":
		ok(t, config.SetInt("steps", 1_000_000))
		work = func(string) error {
			_, err := newTrainer(t, config).Run(ctx, 0, func(seed.Progress) error { return count() })
			return err
		}
	case "bank":
		ok(t, config.SetInt("view_count", 1000))
		teacher, images := newTeacher(t, config), eightImages(t)
		work = func(folder string) error {
			_, err := seed.FillBank(ctx, filepath.Join(folder, "bank"), config, teacher, images, 0,
				func(seed.BankProgress) error { return count() })
			return err
		}
	case "fit":
		ok(t, config.SetString("finetune.mode", "full"))
		student := newStudent(t, config)
		labelled, _ := labelledStripes(t)
		work = func(string) error {
			_, err := seed.FitClassifier(ctx, config, student, labelled, seed.FitOptions{})
			return errors.Join(err, count())
		}
	default:
		store := must[*seed.Store](t)(seed.OpenStore(filepath.Join(t.TempDir(), "frames.store"), seed.StoreOptions{}))
		work = func(string) error {
			_, err := store.Push(stripes(3, 40, 36), seed.StoreEntry{}, seed.WaitForever)
			return errors.Join(err, count())
		}
	}
	for range 2 {
		folder := t.TempDir()
		go func() {
			for {
				if err := work(folder); err != nil {
					panic(err)
				}
			}
		}()
	}
	// Not in the first calls: libtorch makes its tables then (docs/safety.md).
	warm := map[string]int32{"embed": 300, "train": 40, "bank": 40, "fit": 6, "store": 300}[way]
	for calls.Load() < max(warm, 4) {
		time.Sleep(time.Millisecond)
	}
	os.Stdout.WriteString("leaving\n")
	os.Exit(7)
}
