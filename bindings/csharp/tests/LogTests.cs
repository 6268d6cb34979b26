using System;
using System.Collections.Concurrent;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class LogTests
    {
        // A run over a broken image, which the library's own workers find and log.
        private static void Stumble()
        {
            var folder = Fixtures.ImageFolder(3);
            File.WriteAllText(Path.Combine(folder, "kaputt ü.png"), "no picture");
            using (var config = Fixtures.SmallConfig().Set("workers", 3))
            using (var student = Fixtures.NewStudent(config))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var images = Dataset.OpenFolder(folder))
            using (var trainer = new Trainer(config, student, teacher, images))
            {
                trainer.Run();
            }
        }

        [Test]
        public static void LinesArrive()
        {
            var lines = new ConcurrentQueue<Tuple<LogLevel, string, int>>();
            Log.SetHandler(LogLevel.Warn, (level, line) => lines.Enqueue(Tuple.Create(level, line, Thread.CurrentThread.ManagedThreadId)));
            Fixtures.WhileCollecting(Stumble);
            Log.SetHandler(LogLevel.Off, null);
            Expect.True(lines.Any(line => line.Item1 == LogLevel.Warn && line.Item2.Contains("kaputt ü.png")), "a warning about the image");
            Expect.True(lines.All(line => line.Item1 <= LogLevel.Warn && line.Item1 > LogLevel.Off), "nothing less important");
            Expect.True(lines.Any(line => line.Item3 != Thread.CurrentThread.ManagedThreadId), "a line of a worker");
            var count = lines.Count;
            Stumble();
            Expect.Equal(count, lines.Count);
            Expect.Equal(null, Log.Failure);
        }

        [Test]
        public static void HandlersThatThrowAreTakenAway()
        {
            var calls = 0;
            Log.SetHandler(LogLevel.Debug, (level, line) =>
            {
                Interlocked.Increment(ref calls);
                throw new InvalidOperationException("full disk");
            });
            Stumble();
            Expect.True(calls > 0, "a call");
            Expect.Equal("full disk", Log.Failure.Message);
            var before = calls;
            Stumble();
            Expect.Equal(before, calls);
            Log.SetHandler(LogLevel.Debug, (level, line) => Interlocked.Increment(ref calls));
            Expect.Equal(null, Log.Failure);
            Stumble();
            Expect.True(calls > before, "the new handler is called");
            Log.SetHandler(LogLevel.Off, null);
        }

        [Test]
        public static void FilterIsChecked()
        {
            Expect.Throws<ArgumentNullException>(() => Log.ToStandardError(null));
            Log.ToStandardError("off");
            Log.SetHandler(LogLevel.Off, null);
        }
    }
}
