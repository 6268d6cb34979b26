using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class HandleTests
    {
        [Test]
        public static void DisposedObjectsSaySo()
        {
            var before = SeedHandle.Open;
            var config = Fixtures.SmallConfig();
            var images = new Dataset();
            var student = Fixtures.NewStudent(config);
            var teacher = Fixtures.NewTeacher(config);
            var queue = new Queue(4, Fixtures.Dim);
            var trainer = new Trainer(config, student, teacher, images, queue);
            var session = Session.FromStudent(student, config);
            var report = new Report("title");
            var token = new CancelToken();
            foreach (var made in new IDisposable[] { config, images, student, teacher, queue, trainer, session, report, token })
            {
                made.Dispose();
                made.Dispose();
            }
            Expect.True(SeedHandle.Open <= before, "nothing left of what was made");
            var rows = new Embeddings(new float[1], 1);
            var uses = new List<Action>
            {
                () => config.Set("epochs", 1), () => config.Set("epochs", 1.0), () => config.Set("device", "cpu"),
                () => config.GetInt64("epochs"), () => config.GetDouble("epochs"), () => config.GetString("device"), () => config.ToJson(),
                () => images.Count.ToString(), () => images.Push(Fixtures.Striped(1)), () => images.Name(0), () => images.Skipped(),
                () => images.Push(new ReadOnlySpan<byte>(new byte[1]), 1, 1, PixelFormat.Mono8),
                () => images.PushEncoded(new byte[1]), () => images.Pixels(0),
                () => Teacher.Load("a", "b", config), () => teacher.Dim.ToString(), () => teacher.ParameterCount.ToString(),
                () => new Student("a", config), () => Student.Load("a", config), () => student.Save("a"), () => student.Dim.ToString(),
                () => student.ParameterCount.ToString(),
                () => queue.Save("a"), () => queue.Push(rows), () => queue.Length.ToString(), () => queue.Capacity.ToString(),
                () => queue.Dim.ToString(), () => queue.Similarities(rows),
                () => queue.Nearest(rows, 1), () => queue.Rows(0, 1), () => queue.Snapshot(), () => queue.Restore(queue),
                () => new Trainer(config, student, teacher), () => trainer.Run(), () => trainer.Run(token), () => trainer.Step(),
                () => trainer.StepsMade.ToString(), () => trainer.TotalSteps.ToString(), () => trainer.Save("a"), () => trainer.Resume("a"),
                () => Session.Open("a", config), () => Session.FromStudent(student, config), () => Session.FromTeacher(teacher, config),
                () => session.Description.ToString(), () => session.Engine.ToString(), () => session.Dim.ToString(), () => session.ParameterCount.ToString(),
                () => session.Embed(Fixtures.Striped(1)), () => session.EmbedInto(new float[1], Fixtures.Striped(1)),
                () => session.EmbedInto(new float[1], new ReadOnlySpan<byte>(new byte[1]), 1, 1, PixelFormat.Mono8),
                () => session.Embed(images), () => session.Embed(token, images), () => session.Swap(session),
                () => Bank.Fill(token, "a", config, teacher, images), () => Bank.Fill("a", config, teacher, images), () => Bank.Open("a", teacher),
                () => report.AddParagraph("a"), () => report.AddTable("a", new[] { "a" }), () => report.AddPoint("a", "b", "c", "d", 1, 1),
                () => report.AddNeighbours("a", images, new uint[0], "b", new uint[0][], "c", new uint[0][]), () => report.Write("a"),
                () => token.Trigger(), () => token.Reset(), () => token.Pause(), () => token.Resume(),
            };
            for (var i = 0; i < uses.Count; i++)
            {
                try
                {
                    Expect.Throws<ObjectDisposedException>(uses[i]);
                }
                catch (Exception error)
                {
                    throw new Exception("use " + i, error);
                }
            }
            using (var living = Fixtures.SmallConfig())
            using (var pupil = Fixtures.NewStudent(living))
            using (var master = Fixtures.NewTeacher(living))
            {
                // What may be missing may still not be disposed.
                Expect.Throws<ObjectDisposedException>(() => new Trainer(living, pupil, master, images));
                Expect.Throws<ObjectDisposedException>(() => new Trainer(living, pupil, master, null, queue));
                Expect.Equal("Config", Expect.Throws<ObjectDisposedException>(() => config.ToJson()).ObjectName);
            }
        }

        [Test]
        public static void ForgottenObjectsAreFreed()
        {
            var before = SeedHandle.Open;
            Forget();
            Expect.Soon(() =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                // A conservative collector may keep the last ones alive.
                return SeedHandle.Open <= before + 6;
            }, "the garbage collector frees them");
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Forget()
        {
            for (var i = 0; i < 300; i++)
            {
                new Queue(64, 64).Push(new Embeddings(new float[64], 64));
                new Config().Set("epochs", 1);
                new Dataset().Push(Fixtures.Striped(1));
            }
            Expect.True(SeedHandle.Open > 100, "many objects at once");
        }

        // A collection during a call must not take the object from under it: nothing refers to the queue once the call runs.
        [Test]
        public static void CollectionDuringCalls()
        {
            var rows = new Embeddings(new float[64 * 256], 256);
            Fixtures.WhileCollecting(() =>
            {
                for (var i = 0; i < 200; i++)
                {
                    new Queue(128, 256).Push(rows);
                }
            });
        }

        [Test]
        public static void CollectionDuringEmbedding()
        {
            Fixtures.WhileCollecting(() =>
            {
                var expected = Fixtures.TellingSession.Embed(Fixtures.Striped(3)).Values;
                for (var i = 0; i < 30; i++)
                {
                    // The arrays of pixels are garbage but for the call.
                    var vectors = Fixtures.TellingSession.Embed(Fixtures.Striped(3), Fixtures.Striped(4), Fixtures.Striped(5));
                    Expect.Near(expected[1], vectors.Values[1], 1e-4);
                }
            });
        }

        [Test]
        public static void DisposeDuringCalls()
        {
            var rows = new Embeddings(new float[64 * 64], 64);
            for (var round = 0; round < 10; round++)
            {
                var queue = new Queue(128, 64);
                var calls = 0;
                Exception failure = null;
                var threads = Enumerable.Range(0, 4).Select(number => new Thread(() =>
                {
                    try
                    {
                        while (true)
                        {
                            queue.Push(rows);
                            Interlocked.Increment(ref calls);
                        }
                    }
                    catch (ObjectDisposedException)
                    {
                    }
                    catch (Exception error)
                    {
                        failure = error;
                    }
                })).ToList();
                threads.ForEach(thread => thread.Start());
                Expect.Soon(() => Volatile.Read(ref calls) > 5, "some calls");
                queue.Dispose();
                threads.ForEach(thread => thread.Join());
                Expect.Equal(null, failure);
            }
        }

        [Test]
        public static void TrainerMayGoDuringItsRun()
        {
            var trainer = Fixtures.NewTrainer();
            Expect.Equal(Outcome.Finished, trainer.Run(0, new DirectProgress<TrainingProgress>(p =>
            {
                trainer.Dispose();
                GC.Collect();
                GC.WaitForPendingFinalizers();
                Expect.Throws<ObjectDisposedException>(() => trainer.StepsMade.ToString());
            })));
            Expect.Throws<ObjectDisposedException>(() => trainer.Run());
        }

        // Two threads that want the same trainer: one has it, the other hears so.
        [Test]
        public static void SecondThreadIsToldBusy()
        {
            using (var trainer = Fixtures.NewTrainer(1000000))
            using (var source = new CancellationTokenSource())
            {
                int busy = 0, cancelled = 0;
                var threads = Enumerable.Range(0, 4).Select(number => new Thread(() =>
                {
                    try
                    {
                        trainer.Run(0, null, source.Token);
                    }
                    catch (SeedException error) when (error.Code == ErrorCode.Busy)
                    {
                        Interlocked.Increment(ref busy);
                    }
                    catch (OperationCanceledException)
                    {
                        Interlocked.Increment(ref cancelled);
                    }
                })).ToList();
                threads.ForEach(thread => thread.Start());
                Expect.Soon(() => Volatile.Read(ref busy) == 3, "three threads are refused");
                source.Cancel();
                threads.ForEach(thread => thread.Join());
                Expect.Equal(1, cancelled);
            }
        }
    }
}
