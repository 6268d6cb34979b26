// Package seed distils a compact vision network from a large frozen teacher, on your own unlabelled images, and runs it.
// It is libseed's C library (seed.h) in Go's manner.
//
// From frames to a student in one call, without a setting:
//
//	images, err := seed.OpenFolder("frames")
//	teacher, err := seed.LoadTeacher("mobilenetv2.pt", "mobilenet_v2", config)
//	distilled, err := seed.Distil(ctx, images, teacher, "resnet18_w0.5", 10*time.Minute, "out")
//
// Or step by step, from the folder to the vectors:
//
//	config, err := seed.NewConfig()
//	err = config.Preset("site")
//	images, err := seed.OpenFolder("frames")
//	teacher, err := seed.LoadTeacher("resnet50.pth", "resnet50", config)
//	student, err := seed.NewStudent("mobilenet_v3_small", config)
//	_, err = seed.FillBank(ctx, "teacher.bank", config, teacher, images, 0, nil) // the preset has 16 views of each image
//	bank, err := seed.OpenBank("teacher.bank", teacher)
//	stored, err := seed.TeacherFromBank(bank)
//	trainer, err := seed.NewTrainer(config, student, stored, nil, images)
//	outcome, err := trainer.Run(ctx, 0, func(p seed.Progress) error {
//		log.Printf("step %d of %d, loss %.3f, agreement %.3f", p.Step, p.TotalSteps, p.Loss, p.ProbeAgreement)
//		return nil
//	})
//	session, err := seed.SessionFromStudent(student, config)
//	vectors, err := session.EmbedDataset(ctx, images, nil)
//	nearest, err := seed.Neighbours(vectors, 5)
//
// # Objects
//
// Config, Dataset, Store, Teacher, Bank, Student, Distilled, Queue, Trainer, Session, Classifier, Anomaly, Tensor and Report own memory of the
// library. Close releases it; the garbage collector does so for what was forgotten. Close never waits, a Store's excepted, and may
// be called again, by any goroutine, in any order: a call that is under way ends in peace and the object goes after it. A nil, zero
// or closed object gives [ErrClosed], never a crash. Objects hold what they use, so a teacher may be closed while a trainer goes on
// with it.
//
// # Goroutines
//
// Dataset, Store, Teacher, Bank, Student, Queue, Session, Classifier and Anomaly may be used by any number of goroutines at once.
// Config, Trainer and Report want one at a time and answer [ErrBusy] otherwise, also to a callback that reaches for the trainer that
// is calling it.
//
// # Long calls
//
// [Distil], [Trainer.Run], [FillBank] and [Session.EmbedDataset], among others, take a context, which ends them, and a callback for their
// progress. [WithPause] makes a context that also pauses them. The settings "duty_cycle" and "nice" leave more of the machine to
// others. [Trainer.Start] is Run on a goroutine of its own, with a channel, Pause and Resume.
//
// # Errors
//
// An error of the library is an *[Error] with its [Code] and a message for a person. The codes are errors themselves:
// errors.Is(err, seed.ErrMismatch). A call that a context ended also matches the context's cause, such as
// [context.Canceled].
//
// # Callbacks
//
// They are called while the C function waits, so the run goes no further meanwhile. A panic in one does not cross C: the
// run ends after its step, and then Run panics with a *[PanicError]. A runtime.Goexit, such as testing's FailNow, likewise
// ends the goroutine that called Run.
package seed
