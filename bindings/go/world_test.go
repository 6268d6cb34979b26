package seed_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	seed "libseed/bindings/go"
)

func TestTwoRanksMakeOneRun(t *testing.T) {
	address := "file:" + filepath.Join(t.TempDir(), "address")
	var trainers [2]*seed.Trainer
	for rank := range trainers {
		trainers[rank] = newTrainer(t, smallConfig(t))
	}
	var outcomes [2]string
	var group sync.WaitGroup
	for rank, trainer := range trainers {
		group.Add(1)
		go func() {
			defer group.Done()
			outcomes[rank] = func() string {
				world, err := seed.JoinWorld(uint32(rank), 2, address, 5*time.Minute)
				if err != nil {
					return err.Error()
				}
				defer world.Close()
				own, size, err := world.Position()
				if err != nil || own != uint32(rank) || size != 2 {
					return fmt.Sprint(own, size, err)
				}
				if err := trainer.SetWorld(world); err != nil {
					return err.Error()
				}
				outcome, err := trainer.Run(t.Context(), 0, nil)
				step, _, _ := trainer.Position()
				return fmt.Sprint(outcome, step, err)
			}()
		}()
	}
	group.Wait()
	for rank, outcome := range outcomes {
		if outcome != "finished 6 <nil>" {
			t.Errorf("rank %d: %s", rank, outcome)
		}
	}
}

func TestWorldsThatCannotBe(t *testing.T) {
	_, err := seed.JoinWorld(2, 2, "127.0.0.1:29500", time.Second)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.JoinWorld(0, 1, "nowhere", time.Second)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.JoinWorld(0, 1, "a:1\x00", time.Second)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.JoinWorld(0, 1, "a:1", -time.Second)
	fails(t, seed.ErrInvalidArgument, err)
	_, err = seed.JoinWorld(0, 2, "file:"+filepath.Join(t.TempDir(), "address"), 200*time.Millisecond)
	fails(t, seed.ErrIO, err)
	trainer := newTrainer(t, smallConfig(t))
	fails(t, seed.ErrInvalidArgument, trainer.SetWorld(nil))
	world := must[*seed.World](t)(seed.JoinWorld(0, 1, "file:"+filepath.Join(t.TempDir(), "address"), time.Minute))
	ok(t, world.Close())
	fails(t, seed.ErrInvalidArgument, trainer.SetWorld(world))
	_, _, err = world.Position()
	fails(t, seed.ErrInvalidArgument, err)
}
