using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class CallbackTests
    {
        private sealed class Bump : Exception
        {
            internal Bump() : base("bump")
            {
            }
        }

        // The first report of a call comes before any step.
        private static DirectProgress<TrainingProgress> AfterAStep(Action action) => new DirectProgress<TrainingProgress>(p =>
        {
            if (!double.IsNaN(p.Loss))
            {
                action();
            }
        });

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void ThrowFromDeepInside() => throw new Bump();

        [Test]
        public static void ExceptionsEndTheRunAndComeOut()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                for (var round = 1; round <= 3; round++)
                {
                    var error = Expect.Throws<Bump>(() => trainer.Run(0,
                        AfterAStep(ThrowFromDeepInside)));
                    Expect.Holds("ThrowFromDeepInside", error.StackTrace);
                    Expect.Equal((long)round, trainer.StepsMade);
                }
                // The trainer is none the worse.
                Expect.Equal(Outcome.Finished, trainer.Run());
            }
        }

        [Test]
        public static void ExceptionsEndEmbedding()
        {
            using (var frames = Fixtures.Frames(20))
            {
                Expect.Throws<Bump>(() => Fixtures.TellingSession.Embed(frames, new DirectProgress<CountProgress>(p => throw new Bump())));
                Expect.Equal(20, Fixtures.TellingSession.Embed(frames).Count);
            }
        }

        // The library's own trouble is not lost behind the callback's.
        [Test]
        public static void BothFailuresAreKept()
        {
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            {
                var file = Path.Combine(Fixtures.Folder(), "file");
                File.WriteAllText(file, "");
                // Saved when the run ends, not before the callback hears of its step.
                config.Set("checkpoint_path", Path.Combine(file, "checkpoint")).Set("checkpoint_every", 1000);
                using (var trainer = new Trainer(config, student, teacher, frames))
                {
                    var error = Expect.Throws<Bump>(() => trainer.Run(0, AfterAStep(() => throw new Bump())));
                    Expect.Equal(ErrorCode.Io, ((SeedException)error.Data["LibSeed.SeedException"]).Code);
                    Expect.Fails(ErrorCode.Io, () => trainer.Run());
                }
            }
        }

        [Test]
        public static void CollectionsDuringRunsDoNoHarm()
        {
            Fixtures.WhileCollecting(() =>
            {
                using (var trainer = Fixtures.NewTrainer(12))
                {
                    var reports = 0;
                    Expect.Equal(Outcome.Finished, trainer.Run(0, new DirectProgress<TrainingProgress>(p =>
                    {
                        GC.Collect();
                        GC.WaitForPendingFinalizers();
                        reports++;
                    })));
                    Expect.Equal(13, reports); // one of them before the first step
                }
            });
        }

        // Mono and .NET Framework can abort a thread; that too must not be thrown through C.
        [Test]
        public static void AbortedThreadsLeaveInOrder()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                bool aborted = false, supported = true;
                var thread = new Thread(() =>
                {
                    try
                    {
                        trainer.Run(0, AfterAStep(() => Thread.CurrentThread.Abort()));
                    }
                    catch (ThreadAbortException)
                    {
                        aborted = true;
                        Thread.ResetAbort();
                    }
                    catch (PlatformNotSupportedException)
                    {
                        supported = false;
                    }
                });
                thread.Start();
                thread.Join();
                Expect.Equal(supported, aborted);
                Expect.Equal(Type.GetType("Mono.Runtime") != null, supported);
                Expect.Equal(1L, trainer.StepsMade);
                Expect.Equal(Outcome.Finished, trainer.Run());
            }
        }

        // System.Progress posts the reports elsewhere; they arrive late, but they do.
        [Test]
        public static void PostedProgressArrives()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                var reports = 0;
                trainer.Run(0, new Progress<TrainingProgress>(p => Interlocked.Increment(ref reports)));
                Expect.Soon(() => Volatile.Read(ref reports) == 7, "a report before the first step and six after steps");
            }
        }

        [Test]
        public static void StudentIsUsableMeanwhile()
        {
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            using (var trainer = new Trainer(config, student, teacher, frames))
            {
                var file = Path.Combine(Fixtures.Folder(), "student.safetensors");
                trainer.Run(1, new DirectProgress<TrainingProgress>(p =>
                {
                    student.Save(file);
                    using (var session = Session.FromStudent(student, config))
                    {
                        session.Embed(Fixtures.Striped(2));
                    }
                    frames.Push(Fixtures.Striped(2));
                }));
                Expect.True(File.Exists(file), "the file of the student");
                Expect.Equal(10, frames.Count); // a report before the step and one after it
            }
        }
    }
}
