using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class TrainerTests
    {
        [Test]
        public static void RunFinishes()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                var steps = new List<long>();
                var thread = Thread.CurrentThread;
                var outcome = trainer.Run(progress: new DirectProgress<TrainingProgress>(p =>
                {
                    steps.Add(p.Step);
                    // The first report comes before the first step, and eight frames are too few for a probe.
                    Expect.True(double.IsNaN(p.ProbeAgreement) && double.IsNaN(p.ProbeRecall) && p.ProbeStep == 0, "no probe");
                    Expect.True(p.Step == 0 ? double.IsNaN(p.Loss) && p.TimeLeft == TimeSpan.MaxValue : p.TotalSteps == 6 && p.Loss > 0 && p.LearningRate > 0 && p.ImagesPerSecond > 0 &&
                        p.Elapsed > TimeSpan.Zero && p.TimeLeft >= TimeSpan.Zero && p.WaitingShare >= 0 && p.WaitingShare <= 1 &&
                        p.Epoch == p.Step / 2 && p.SkippedImages == 0, "a sound report");
                    Expect.True(Thread.CurrentThread == thread, "the thread that called");
                    Expect.Fails(ErrorCode.Busy, () => trainer.StepsMade.ToString());
                    Expect.Fails(ErrorCode.Busy, () => trainer.Run());
                }));
                Expect.Equal(Outcome.Finished, outcome);
                Expect.Equal("0 1 2 3 4 5 6", string.Join(" ", steps));
                Expect.Equal(6L, trainer.StepsMade);
                Expect.Equal(6L, trainer.TotalSteps);
            }
        }

        [Test]
        public static void RunPauses()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                Expect.Equal(Outcome.Paused, trainer.Run(2));
                Expect.Equal(2L, trainer.StepsMade);
                Expect.Equal(Outcome.Finished, trainer.Run());
                Expect.Throws<ArgumentOutOfRangeException>(() => trainer.Run(-1));
            }
        }

        [Test]
        public static void TwoRanksMakeOneRun()
        {
            var address = "file:" + Path.Combine(Fixtures.Folder(), "address");
            var found = new string[2];
            var threads = new Thread[2];
            for (var i = 0; i < threads.Length; i++)
            {
                var rank = i;
                threads[rank] = new Thread(() =>
                {
                    try
                    {
                        using (var trainer = Fixtures.NewTrainer())
                        using (var world = new World(rank, 2, address, TimeSpan.FromMinutes(5)))
                        {
                            trainer.SetWorld(world);
                            found[rank] = world.Rank + " of " + world.Size + " " + trainer.Run() + " " + trainer.StepsMade;
                        }
                    }
                    catch (Exception error)
                    {
                        found[rank] = error.ToString();
                    }
                });
                threads[rank].Start();
            }
            foreach (var thread in threads)
            {
                thread.Join();
            }
            Expect.Equal("0 of 2 Finished 6", found[0]);
            Expect.Equal("1 of 2 Finished 6", found[1]);
        }

        [Test]
        public static void WorldsThatCannotBe()
        {
            Expect.Fails(ErrorCode.InvalidArgument, () => new World(2, 2, "127.0.0.1:29500"));
            Expect.Fails(ErrorCode.InvalidArgument, () => new World(0, 1, "nowhere"));
            Expect.Throws<ArgumentOutOfRangeException>(() => new World(-1, 1, "a:1"));
            Expect.Throws<ArgumentOutOfRangeException>(() => new World(0, 1, "a:1", TimeSpan.FromSeconds(-1)));
            var address = "file:" + Path.Combine(Fixtures.Folder(), "address");
            Expect.Fails(ErrorCode.Io, () => new World(0, 2, address, TimeSpan.FromMilliseconds(200)));
            using (var trainer = Fixtures.NewTrainer())
            {
                Expect.Throws<ArgumentNullException>(() => trainer.SetWorld(null));
                var world = new World(0, 1, address, TimeSpan.FromMinutes(1));
                world.Dispose();
                Expect.Throws<ObjectDisposedException>(() => trainer.SetWorld(world));
            }
        }

        [Test]
        public static void SavedRunGoesOn()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                var folder = Path.Combine(Fixtures.Folder(), "checkpoint ü");
                trainer.Run(3);
                trainer.Save(folder);
                trainer.Run();
                trainer.Resume(folder);
                Expect.Equal(3L, trainer.StepsMade);
                Expect.Fails(ErrorCode.Io, () => trainer.Resume(folder + ".none"));
                Expect.Equal(3L, trainer.StepsMade);
            }
        }

        [Test]
        public static void StepsOnOwnImages()
        {
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var queue = new Queue(8, Fixtures.Dim, 1))
            using (var trainer = new Trainer(config, student, teacher, null, queue))
            {
                var loss = trainer.Step(Fixtures.Striped(3), Image.Mono16(new ushort[400], 20, 20));
                Expect.True(loss > 0 && loss < 100, "a loss, found " + loss);
                trainer.Step(Fixtures.Striped(3), Fixtures.Striped(4));
                Expect.Equal(4, queue.Length);
                Expect.Equal(2L, trainer.StepsMade);
                Expect.Fails(ErrorCode.InvalidArgument, () => trainer.Step());
                Expect.Fails(ErrorCode.InvalidArgument, () => trainer.Run());
            }
        }

        [Test]
        public static void StudentLearnsWithoutATeacher()
        {
            foreach (var method in new[] { "moco_v2", "simclr", "swav" })
            {
                using (var config = Fixtures.SmallConfig().Set("method", method))
                using (var student = Fixtures.NewStudent(config))
                using (var teacher = Fixtures.NewTeacher(config))
                using (var frames = Fixtures.Frames())
                using (var trainer = new Trainer(config, student, null, frames))
                {
                    Expect.Equal(Outcome.Finished, trainer.Run());
                    Expect.Equal(6L, trainer.StepsMade);
                    var loss = trainer.Step(Fixtures.Striped(3), Fixtures.Striped(4));
                    Expect.True(loss > 0 && loss < 100, "a loss, found " + loss);
                    Expect.Fails(ErrorCode.InvalidArgument, () => new Trainer(config, student, teacher, frames));
                }
            }
        }

        [Test]
        public static void WidthsMustFit()
        {
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            using (var narrow = Fixtures.NewStudent(config.Set("embedding_dim", 8)))
            {
                Expect.Equal(Fixtures.Dim, teacher.Dim);
                Expect.Fails(ErrorCode.Mismatch, () => new Trainer(config, narrow, teacher, frames));
                Expect.Fails(ErrorCode.InvalidArgument, () => new Trainer(config, narrow, null, frames));
                Expect.Throws<ArgumentNullException>(() => new Trainer(null, narrow, teacher, frames));
                Expect.Throws<ArgumentNullException>(() => new Trainer(config, null, teacher, frames));
                Expect.Fails(ErrorCode.Io, () => Teacher.Load("/no/such/file", "resnet18", config));
                Expect.Fails(ErrorCode.InvalidArgument, () => new Student("mobilenet_v9", config));
            }
        }

        // The student learns: the weights that the trainer writes are those that sessions see.
        [Test]
        public static void StudentChanges()
        {
            using (var config = Fixtures.SmallConfig())
            using (var student = new Student("resnet18", config))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            using (var trainer = new Trainer(config, student, teacher, frames))
            using (var before = Session.FromStudent(student, config))
            {
                Expect.Equal(Outcome.Finished, trainer.Run());
                using (var after = Session.FromStudent(student, config))
                {
                    var old = before.Embed(Fixtures.Striped(3)).Values;
                    var both = new float[2 * Fixtures.Dim];
                    old.CopyTo(both, 0);
                    after.Embed(Fixtures.Striped(3)).Values.CopyTo(both, Fixtures.Dim);
                    Expect.True(new Embeddings(both, Fixtures.Dim).Cosine(0, 1) < .99999, "another vector after six steps");
                }
            }
        }
    }
}
