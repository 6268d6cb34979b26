// Distils a compact student from a frozen teacher on a folder of unlabelled images, saves it, opens it again and prints
// which images it finds alike. Ctrl-C ends the run after its step; what was learned by then is saved and used.
//
//	go run . -images DIR -teacher FILE [-teacher-arch mobilenet_v2] [-student-arch mobilenet_v3_small]
//	         [-out student.safetensors] [-steps 800] [-batch 32] [-size 96] [-queries 5] [-neighbours 3]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	seed "libseed/bindings/go"
)

type options struct {
	images, teacher, teacherArch, studentArch, out string
	steps, batch, size, queries, neighbours        int
}

func parse(words []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("distill", flag.ContinueOnError)
	flags.StringVar(&o.images, "images", "", "folder of images (JPEG, PNG, BMP, TIFF)")
	flags.StringVar(&o.teacher, "teacher", "", "the teacher's weights (.safetensors, .pt, .pth)")
	flags.StringVar(&o.teacherArch, "teacher-arch", "mobilenet_v2", "the teacher's architecture")
	flags.StringVar(&o.studentArch, "student-arch", "mobilenet_v3_small", "the student's architecture")
	flags.StringVar(&o.out, "out", "student.safetensors", "where the student goes")
	flags.IntVar(&o.steps, "steps", 800, "steps of the run; some hundred are needed before the student sees anything")
	flags.IntVar(&o.batch, "batch", 32, "images a step")
	flags.IntVar(&o.size, "size", 96, "width and height of the student's input in pixels")
	flags.IntVar(&o.queries, "queries", 5, "how many images to find neighbours of")
	flags.IntVar(&o.neighbours, "neighbours", 3, "how many neighbours to find")
	if err := flags.Parse(words); err != nil {
		return o, err
	}
	if o.images == "" || o.teacher == "" {
		flags.Usage()
		return o, errors.New("-images and -teacher are needed")
	}
	return o, nil
}

// configure sets what a short run on few images wants; the defaults are the paper's, for 200 epochs of a million images.
func configure(o options) (*seed.Config, error) {
	config, err := seed.NewConfig()
	if err != nil {
		return nil, err
	}
	whole := map[string]int{
		"steps": o.steps, "batch_size": o.batch, "image_width": o.size, "image_height": o.size,
		"queue_capacity": 1024, "warmup_steps": min(20, o.steps/10), "progress_every": max(1, min(10, o.steps/10)),
	}
	for key, value := range whole {
		err = errors.Join(err, config.SetInt(key, int64(value)))
	}
	fractional := map[string]float64{
		"learning_rate": .2, "temperature_student": .1, "temperature_teacher": .02, "view.crop_scale_min": .8,
		"view.brightness": .1, "view.contrast": .1, "view.blur_probability": 0,
	}
	for key, value := range fractional {
		err = errors.Join(err, config.SetFloat(key, value))
	}
	return config, err
}

func run(ctx context.Context, o options, out io.Writer) error {
	config, err := configure(o)
	if err != nil {
		return err
	}
	defer config.Close()
	images, err := seed.OpenFolder(o.images)
	if err != nil {
		return err
	}
	defer images.Close()
	teacher, err := seed.LoadTeacher(o.teacher, o.teacherArch, config)
	if err != nil {
		return err
	}
	defer teacher.Close()
	dim, err := teacher.Dim()
	if err != nil {
		return err
	}
	student, err := seed.NewStudent(o.studentArch, config)
	if err != nil {
		return err
	}
	defer student.Close()
	count, err := images.Count()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d images, teacher %s (%d numbers an image), student %s\n", count, o.teacherArch, dim, o.studentArch)

	if err := distil(ctx, config, student, teacher, images, out); err != nil {
		return err
	}
	if err := student.Save(o.out); err != nil {
		return err
	}
	fmt.Fprintf(out, "student: %s\n", o.out)
	return search(config, o, teacher, images, out)
}

func distil(ctx context.Context, config *seed.Config, student *seed.Student, teacher *seed.Teacher, images *seed.Dataset,
	out io.Writer) error {
	trainer, err := seed.NewTrainer(config, student, teacher, nil, images)
	if err != nil {
		return err
	}
	defer trainer.Close()
	outcome, err := trainer.Run(ctx, 0, func(p seed.Progress) error {
		if p.ImagesPerSecond == 0 { // the first report comes before the first step
			_, err := fmt.Fprintf(out, "step %d/%d\n", p.Step, p.TotalSteps)
			return err
		}
		_, err := fmt.Fprintf(out, "step %d/%d  loss %.4f  %.1f images/s  waited %.0f %%  ETA %v\n", p.Step, p.TotalSteps,
			p.Loss, p.ImagesPerSecond, 100*p.WaitingShare, p.ETA.Round(time.Second))
		return err
	})
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	fmt.Fprintf(out, "the run is %v\n", outcome)
	return err
}

// embed gives the vectors of all images and closes the session. It does not take the run's context: after Ctrl-C there is
// still something to show.
func embed(session *seed.Session, images *seed.Dataset) (seed.Embeddings, error) {
	defer session.Close()
	return session.EmbedDataset(context.Background(), images, nil)
}

// search opens the saved student and embeds all images. It prints how many of the teacher's neighbours the student finds
// too, and the nearest of a few images.
func search(config *seed.Config, o options, teacher *seed.Teacher, images *seed.Dataset, out io.Writer) error {
	session, err := seed.OpenSession(o.out, config)
	if err != nil {
		return err
	}
	vectors, err := embed(session, images)
	if err != nil {
		return err
	}
	if session, err = seed.SessionFromTeacher(teacher, config); err != nil {
		return err
	}
	byTeacher, err := embed(session, images)
	if err != nil {
		return err
	}
	k := min(o.neighbours, vectors.Count()-1)
	share, err := seed.Agreement(vectors, byTeacher, k)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "of the teacher's %d nearest the student finds %.1f %%, chance %.1f %%\n", k, 100*share,
		100*float64(k)/float64(vectors.Count()-1))
	nearest, err := seed.Neighbours(vectors, k)
	if err != nil {
		return err
	}
	queries := min(o.queries, len(nearest))
	for i := range queries {
		query := i * len(nearest) / queries
		name, err := images.Name(query)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s is most like", name)
		for _, number := range nearest[query] {
			name, err := images.Name(int(number))
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "  %s (%.5f)", name, vectors.Cosine(query, int(number)))
		}
		fmt.Fprintln(out)
	}
	skipped, err := images.Skipped()
	for _, line := range skipped {
		fmt.Fprintf(out, "skipped %s\n", line)
	}
	return err
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "distill: %v\n", err)
		os.Exit(1)
	}
}
