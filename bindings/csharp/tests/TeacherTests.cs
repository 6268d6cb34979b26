using System;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;

namespace LibSeed.Tests
{
    // Teachers that are no network of the library: engines of the application, TorchScript files, tables.
    internal static class TeacherTests
    {
        private static readonly string Golden = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(Program.Header)), "..", "tests", "golden",
            "teachers");

        // The mean level of each of Dim bands of rows, of images of bytes.
        private static void Bands(TeacherBatch batch)
        {
            var size = batch.Height / batch.Dim * batch.Width * 3;
            // Mono's compiler cannot say how .NET indexes a ReadOnlySpan.
            var levels = batch.Bytes.ToArray();
            var rows = batch.Embeddings;
            for (var i = 0; i < rows.Length; i++)
            {
                var sum = 1;
                for (var j = 0; j < size; j++)
                {
                    sum += levels[i * size + j];
                }
                rows[i] = sum;
            }
        }

        private static Teacher Engine(Config config, Action<TeacherBatch> embed) =>
            Teacher.FromFunction(embed, Fixtures.Dim, "bands ü 1", config, BatchFormat.Uint8Nhwc);

        private static Trainer TrainerOf(Config config, Action<TeacherBatch> embed)
        {
            using (var teacher = Engine(config, embed))
            using (var student = Fixtures.NewStudent(config))
            using (var frames = Fixtures.Frames())
            {
                return new Trainer(config, student, teacher, frames);
            }
        }

        [Test]
        public static void FunctionsTeach()
        {
            var calls = 0;
            TeacherBatch kept = null;
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Engine(config, batch =>
            {
                calls++;
                kept = batch;
                Expect.Equal("16 32 32 -1", batch.Dim + " " + batch.Height + " " + batch.Width + " " + batch.CudaDevice);
                Expect.Equal(batch.Count * 32 * 32 * 3, batch.Bytes.Length);
                Expect.True(batch.ImagesAddress != IntPtr.Zero && batch.EmbeddingsAddress != IntPtr.Zero, "addresses");
                Expect.Throws<InvalidOperationException>(() => batch.Floats.ToArray());
                Bands(batch);
            }))
            using (var student = Fixtures.NewStudent(config))
            using (var frames = Fixtures.Frames())
            using (var trainer = new Trainer(config, student, teacher, frames))
            {
                Expect.Equal(Fixtures.Dim, teacher.Dim);
                Expect.Fails(ErrorCode.Unsupported, () => teacher.ParameterCount.ToString());
                Fixtures.WhileCollecting(() => Expect.Equal(Outcome.Finished, trainer.Run()));
                Expect.Equal(6, calls);
                Expect.Throws<InvalidOperationException>(() => kept.Count.ToString());
                Expect.Throws<InvalidOperationException>(() => kept.TakeTensor());
                using (var session = Session.FromTeacher(teacher, config))
                {
                    Expect.Near(1, session.Embed(Fixtures.Striped(3)).Values.Sum(value => value * value), 1e-4);
                }
            }
        }

        [Test]
        public static void FunctionsAreShownFloats()
        {
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Teacher.FromFunction(batch =>
            {
                Expect.Equal(batch.Count * 32 * 32 * 3, batch.Floats.Length);
                var tensor = batch.TakeTensor();
                Expect.True(tensor != IntPtr.Zero && batch.TakeTensor() == IntPtr.Zero, "a tensor that is handed out once");
                DlpackLayout.Delete(tensor);
                var levels = batch.Floats.ToArray();
                var rows = batch.Embeddings;
                for (var i = 0; i < rows.Length; i++)
                {
                    rows[i] = 1 + levels[i];
                }
            }, Fixtures.Dim, "floats", config))
            using (var student = Fixtures.NewStudent(config))
            using (var frames = Fixtures.Frames())
            using (var trainer = new Trainer(config, student, teacher, frames))
            {
                Expect.Equal(Outcome.Finished, trainer.Run());
            }
        }

        // What is thrown fails the call with its words, and the run goes on afterwards.
        [Test]
        public static void ExceptionsFailTheCall()
        {
            Exception next = null;
            Trainer trainer = null;
            using (var config = Fixtures.SmallConfig())
            using (trainer = TrainerOf(config, batch =>
            {
                var thrown = Interlocked.Exchange(ref next, null);
                if (thrown is NotSupportedException)
                {
                    trainer.Run();
                }
                if (thrown != null)
                {
                    throw thrown;
                }
                Bands(batch);
            }))
            {
                foreach (var failure in new[]
                {
                    Tuple.Create(new Exception("kein Papier"), "Exception: kein Papier"),
                    Tuple.Create<Exception, string>(new OverflowException(new string('ü', 5000)), "OverflowException: üüü"),
                    // It reaches for the trainer that is calling it.
                    Tuple.Create<Exception, string>(new NotSupportedException(), "SeedException: "),
                })
                {
                    next = failure.Item1;
                    var error = Expect.Fails(ErrorCode.Cancelled, () => trainer.Run(1));
                    Expect.Holds(failure.Item2, error.Message);
                    Expect.True(error.Message.IndexOf('\ufffd') < 0, "whole characters");
                }
                Expect.Equal(0L, trainer.StepsMade);
                Expect.Equal(Outcome.Finished, trainer.Run());
            }
        }

        [Test]
        public static void ThreadsOfTheLibraryAsk()
        {
            var others = 0;
            var own = Thread.CurrentThread;
            using (var config = Fixtures.SmallConfig().Set("nice", 3))
            using (var trainer = TrainerOf(config, batch =>
            {
                others += Thread.CurrentThread == own ? 0 : 1;
                Bands(batch);
            }))
            {
                Fixtures.WhileCollecting(() => Expect.Equal(Outcome.Finished, trainer.Run()));
                Expect.Equal(6, others);
            }
        }

        // The function is kept as long as something was made of it, and no longer.
        [Test]
        public static void FunctionsAreReleased()
        {
            using (var config = Fixtures.SmallConfig())
            {
                var last = Enumerable.Range(0, 8).Select(i => Remember(config)).ToArray();
                Expect.Soon(() =>
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    // A conservative collector may keep the last ones alive.
                    return last.Count(kept => kept.IsAlive) <= 2;
                }, "the functions are forgotten");
                Expect.Fails(ErrorCode.InvalidArgument, () => Teacher.FromFunction(Bands, 0, "a", config));
                Expect.Fails(ErrorCode.InvalidArgument, () => Teacher.FromFunction(Bands, 4, "", config));
                Expect.Fails(ErrorCode.InvalidArgument, () => Teacher.FromFunction(Bands, 4, new string('a', 1025), config));
                Expect.Fails(ErrorCode.InvalidArgument, () => Teacher.FromFunction(Bands, 4, "a", config, (BatchFormat)77));
                Expect.Throws<ArgumentNullException>(() => Teacher.FromFunction(null, 4, "a", config));
                Expect.Throws<ArgumentNullException>(() => Teacher.FromFunction(Bands, 4, null, config));
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static WeakReference Remember(Config config)
        {
            var numbers = new int[1000];
            using (var trainer = TrainerOf(config, batch =>
            {
                numbers[0]++;
                Bands(batch);
            }))
            {
                GC.Collect();
                Expect.Equal(Outcome.Paused, trainer.Run(1));
                Expect.Equal(1, numbers[0]);
            }
            return new WeakReference(numbers);
        }

        [Test]
        public static void TorchScriptIsRun()
        {
            using (var config = Fixtures.SmallConfig())
            {
                Expect.Fails(ErrorCode.Io, () => Teacher.LoadTorchScript(Path.Combine(Golden, "none.pt"), config));
                Expect.Fails(ErrorCode.Mismatch, () => Teacher.LoadTorchScript(Path.Combine(Golden, "dict.pt"), config, "no such output"));
                foreach (var output in new[] { null, "pooled" })
                {
                    using (var teacher = Teacher.LoadTorchScript(Path.Combine(Golden, output == null ? "tensor.pt" : "dict.pt"), config, output))
                    using (var session = Session.FromTeacher(teacher, config))
                    {
                        Expect.Equal(6, teacher.Dim);
                        Expect.Equal(1, session.Embed(Fixtures.Striped(3)).Count);
                    }
                }
            }
        }

        [Test]
        public static void TablesTeach()
        {
            var values = Enumerable.Range(0, 8 * Fixtures.Dim).Select(i => i % Fixtures.Dim == i / Fixtures.Dim ? 1f : .1f).ToArray();
            using (var config = Fixtures.SmallConfig())
            using (var table = new EmbeddingTable(new Embeddings(values, Fixtures.Dim)))
            using (var small = new EmbeddingTable(new Embeddings(values.Take(Fixtures.Dim).ToArray(), Fixtures.Dim)))
            using (var teacher = Teacher.FromEmbeddings(table))
            using (var narrow = Teacher.FromEmbeddings(small))
            using (var student = Fixtures.NewStudent(config))
            using (var frames = Fixtures.Frames())
            using (var trainer = new Trainer(config, student, teacher, frames))
            using (var read = EmbeddingTable.Load(Path.Combine(Golden, "single.npy")))
            {
                Expect.Equal("8 16 16", table.Count + " " + table.Dim + " " + teacher.Dim);
                table.Dispose(); // the teacher holds it
                Expect.True(read.Count > 0 && read.Dim > 0, "rows of a file");
                Expect.Equal(Outcome.Finished, trainer.Run());
                Expect.Fails(ErrorCode.InvalidArgument, () => trainer.Step(Fixtures.Striped(2)));
                Expect.Fails(ErrorCode.Mismatch, () => new Trainer(config, student, narrow, frames));
                Expect.Fails(ErrorCode.InvalidArgument, () => new Trainer(config, student, teacher));
                Expect.Fails(ErrorCode.Unsupported, () => Session.FromTeacher(teacher, config));
                Expect.Fails(ErrorCode.Io, () => EmbeddingTable.Load("/no/such/table.npy"));
                Expect.Fails(ErrorCode.InvalidArgument, () => new EmbeddingTable(new Embeddings(new float[0], 4)));
                Expect.Throws<ArgumentNullException>(() => new EmbeddingTable(null));
                small.Dispose();
                Expect.Throws<ObjectDisposedException>(() => small.Count.ToString());
                Expect.Throws<ObjectDisposedException>(() => Teacher.FromEmbeddings(small));
                Expect.Throws<ArgumentNullException>(() => Teacher.FromEmbeddings(null));
            }
        }
    }
}
