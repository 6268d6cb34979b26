using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class SessionTests
    {
        [Test]
        public static void SessionTellsAboutItself()
        {
            Expect.Equal(Fixtures.Dim, Fixtures.TellingSession.Dim);
            Expect.True(Fixtures.TellingSession.ParameterCount > 10000000, "the parameters of a ResNet-18");
            Expect.Holds("cpu", Fixtures.TellingSession.Description);
            Expect.Equal("libtorch: the setting \"engine\" is \"libtorch\"", Fixtures.TellingSession.Engine);
        }

        [Test]
        public static void SavedStudentIsTheSame()
        {
            var file = Path.Combine(Fixtures.Folder(), "student.safetensors");
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            {
                Expect.Equal(Fixtures.Dim, student.Dim);
                student.Save(file);
                using (var loaded = Student.Load(file, config))
                using (var opened = Session.Open(file, config))
                using (var made = Session.FromStudent(loaded, config))
                {
                    Expect.Equal(student.ParameterCount, loaded.ParameterCount);
                    var left = opened.Embed(Fixtures.Striped(4)).Values;
                    var right = made.Embed(Fixtures.Striped(4)).Values;
                    for (var i = 0; i < left.Length; i++)
                    {
                        Expect.Near(left[i], right[i], 1e-4);
                    }
                }
                Expect.Fails(ErrorCode.Io, () => Session.Open(file + ".none", config));
                File.WriteAllText(file, "no student");
                Expect.Fails(ErrorCode.Format, () => Session.Open(file, config));
                Expect.Fails(ErrorCode.Format, () => Student.Load(file, config));
            }
        }

        [Test]
        public static void SpansAreFilled()
        {
            var session = Fixtures.TellingSession;
            var pixels = Fixtures.Stripes(4);
            var expected = session.Embed(Fixtures.Striped(4)).Values;
            var memory = new float[Fixtures.Dim + 2];
            Expect.Equal(Fixtures.Dim, session.EmbedInto(new Span<float>(memory, 1, Fixtures.Dim), new ReadOnlySpan<byte>(pixels), 40, 36,
                PixelFormat.Mono8));
            Expect.Equal(0f, memory[0]);
            Expect.Equal(0f, memory[Fixtures.Dim + 1]);
            for (var i = 0; i < Fixtures.Dim; i++)
            {
                Expect.Near(expected[i], memory[i + 1], 1e-4);
            }
            Span<float> stack = stackalloc float[2 * Fixtures.Dim];
            Expect.Equal(2 * Fixtures.Dim, session.EmbedInto(stack, Fixtures.Striped(4), Fixtures.Striped(5)));
            Expect.Near(expected[3], stack[3], 1e-4);
        }

        [Test]
        public static void BuffersThatAreTooSmallStayAsTheyAre()
        {
            var session = Fixtures.TellingSession;
            var memory = Enumerable.Repeat(7f, Fixtures.Dim - 1).ToArray();
            Expect.Fails(ErrorCode.BufferTooSmall, () => session.EmbedInto(memory, Fixtures.Striped(4)));
            Expect.True(memory.All(value => value == 7), "an untouched buffer");
            // Without an address C would only tell the size, which looks like success.
            Expect.Fails(ErrorCode.BufferTooSmall, () => session.EmbedInto(new float[0], Fixtures.Striped(4)));
            Expect.Fails(ErrorCode.BufferTooSmall, () => session.EmbedInto(default(Span<float>), Fixtures.Striped(4)));
            Expect.Fails(ErrorCode.BufferTooSmall, () => session.EmbedInto(default(Span<float>), new ReadOnlySpan<byte>(Fixtures.Stripes(4)),
                40, 36, PixelFormat.Mono8));
            Expect.Throws<ArgumentNullException>(() => session.Embed((Image[])null));
        }

        [Test]
        public static void DatasetIsCounted()
        {
            using (var frames = Fixtures.Frames(20))
            {
                var session = Fixtures.TellingSession;
                long last = 0;
                var thread = Thread.CurrentThread;
                var vectors = session.Embed(frames, new DirectProgress<CountProgress>(progress =>
                {
                    Expect.True(progress.Done > last && progress.Done <= 20 && progress.Total == 20, "a count that grows");
                    Expect.True(Thread.CurrentThread == thread, "the thread that called");
                    last = progress.Done;
                }));
                Expect.Equal(20L, last);
                Expect.Equal(20, vectors.Count);
                Expect.Near(1, vectors.Row(7).ToArray().Zip(session.Embed(Fixtures.Striped(8)).Values, (a, b) => a * b).Sum(), 1e-3);
            }
        }

        [Test]
        public static void EmptyDatasetIsRefused()
        {
            using (var frames = new Dataset())
            {
                Expect.Fails(ErrorCode.InvalidArgument, () => Fixtures.TellingSession.Embed(frames));
                Expect.Equal(0, Fixtures.TellingSession.Embed().Count);
            }
        }

        [Test]
        public static void TeacherHasASession()
        {
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var session = Session.FromTeacher(teacher, config))
            {
                Expect.Equal(teacher.Dim, session.Dim);
                Expect.Equal(teacher.ParameterCount, session.ParameterCount);
                Expect.Equal(teacher.Dim, session.Embed(Fixtures.Striped(3)).Values.Length);
            }
        }

        [Test]
        public static void SessionsSwap()
        {
            using (var config = Fixtures.SmallConfig())
            using (var first = Fixtures.NewStudent(config.Set("seed", 1)))
            using (var second = Fixtures.NewStudent(config.Set("seed", 2)))
            using (var third = Fixtures.NewStudent(config.Set("embedding_dim", 8)))
            using (var running = Session.FromStudent(first, config))
            using (var other = Session.FromStudent(second, config))
            using (var narrow = Session.FromStudent(third, config))
            {
                float[] old = running.Embed(Fixtures.Striped(4)).Values, made = other.Embed(Fixtures.Striped(4)).Values;
                Expect.True(Math.Abs(old[0] - made[0]) + Math.Abs(old[1] - made[1]) > 1e-3, "two different students");
                for (var round = 0; round < 2; round++)
                {
                    running.Swap(other);
                    var now = running.Embed(Fixtures.Striped(4)).Values;
                    var then = other.Embed(Fixtures.Striped(4)).Values;
                    for (var i = 0; i < now.Length; i++)
                    {
                        Expect.Near(round == 0 ? made[i] : old[i], now[i], 1e-4);
                        Expect.Near(round == 0 ? old[i] : made[i], then[i], 1e-4);
                    }
                }
                running.Swap(running);
                Expect.Fails(ErrorCode.Mismatch, () => running.Swap(narrow));
                Expect.Throws<ArgumentNullException>(() => running.Swap(null));
            }
        }

        [Test]
        public static void ThreadsShareASession()
        {
            var session = Fixtures.TellingSession;
            var expected = session.Embed(Fixtures.Striped(3)).Values;
            Exception failure = null;
            var threads = Enumerable.Range(0, 4).Select(number => new Thread(() =>
            {
                try
                {
                    for (var i = 0; i < 10; i++)
                    {
                        Expect.Near(expected[2], session.Embed(Fixtures.Striped(3)).Values[2], 1e-4);
                    }
                }
                catch (Exception error)
                {
                    failure = error;
                }
            })).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            Expect.Equal(null, failure);
        }
    }
}
