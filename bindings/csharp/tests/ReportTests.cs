using System;
using System.IO;

namespace LibSeed.Tests
{
    internal static class ReportTests
    {
        [Test]
        public static void ReportIsWritten()
        {
            var file = Path.Combine(Fixtures.Folder(), "report.html");
            using (var frames = Fixtures.Frames(4))
            using (var report = new Report("Prüfung & Bericht"))
            {
                report.AddParagraph("ein Absatz über <Teile>");
                report.AddTable("a table", new[] { "network", "share" }, new[] { "Schüler", ".5" }, new[] { "Lehrer", "1" });
                report.AddTable("no rows", new[] { "head" });
                report.AddPoint("loss", "step", "nats", "student", 1, 2);
                report.AddPoint("loss", "step", "nats", "student", 2, 1);
                var nearest = Evaluation.Neighbours(Fixtures.TellingSession.Embed(frames), 2);
                report.AddNeighbours("neighbours", frames, new uint[] { 0, 3 }, "left", new[] { nearest[0], nearest[3] }, "right",
                    new[] { nearest[0], nearest[3] });
                report.Write(file);
                var text = File.ReadAllText(file);
                foreach (var part in new[] { "Prüfung &amp; Bericht", "über &lt;Teile&gt;", "Schüler", "Lehrer", "nats", "right", "data:image" })
                {
                    Expect.Holds(part, text);
                }
                Expect.Throws<ArgumentException>(() => report.AddTable("t", new[] { "a", "b" }, new[] { "one" }));
                Expect.Throws<ArgumentException>(() => report.AddTable("t", new[] { "a\0b" }));
                Expect.Throws<ArgumentException>(() => report.AddNeighbours("n", frames, new uint[] { 0 }, "l", nearest, "r", nearest));
                Expect.Throws<ArgumentException>(() => report.AddNeighbours("n", frames, new uint[] { 0 }, "l", new[] { nearest[0] }, "r",
                    new[] { new uint[1] }));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddNeighbours("n", frames, new uint[] { 9 }, "l", new[] { nearest[0] },
                    "r", new[] { nearest[0] }));
                Expect.Fails(ErrorCode.Io, () => report.Write(Path.Combine(file, "in a file")));
            }
        }

        [Test]
        public static void ReportOfImages()
        {
            var file = Path.Combine(Fixtures.Folder(), "images.html");
            using (var frames = Fixtures.Frames(6))
            using (var report = new Report("images"))
            {
                long[] labels = { 0, 0, 1, 1, 1, -1 }, answers = { 0, 1, 1, 1, 0, -1 };
                var classes = new[] { "good", "<Riß>" };
                var rows = new Embeddings(new[] { 1, 0, 1, .1f, 0, 1, .2f, 1, .9f, 1, 1, 1 }, 2);
                report.AddHeading("a heading");
                report.AddClassSheet("plain", frames, labels, classes, new ClassSheet { Answers = null });
                report.AddClassSheet("whole", frames, labels, classes, new ClassSheet
                {
                    Embeddings = rows, Answers = answers, Confidences = new[] { .9f, .8f, .7f, .6f, .5f, .4f }, PerClass = 2,
                });
                report.AddConfusion("confusion", labels, answers, classes);
                report.AddMap("bare", rows);
                report.AddMap("map", rows, labels, classes, frames, new MapOptions { Method = MapMethod.Pca, MaxPoints = 5, Seed = 3 });
                var image = new Image(new byte[12], 4, 3, PixelFormat.Mono8);
                var map = new AnomalyMap(2, true, new float[] { 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0 }, 4, 3);
                report.AddHeatMap("heat", "a part", image, map, 1, new byte[] { 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0 });
                report.AddHeatMap("heat", "bare", image, map);
                report.Write(file);
                var text = File.ReadAllText(file);
                foreach (var part in new[] { "<h2>a heading</h2>", "→ &lt;Riß&gt; 0.80", "most unusual", "5 images, accuracy 0.600",
                    "5 of 6 images", "<b>alarm</b> above 1.00", "class=\"truth\"" })
                {
                    Expect.Holds(part, text);
                }
                Expect.Throws<ArgumentException>(() => report.AddClassSheet("few", frames, labels, classes, new ClassSheet { Answers = new long[5] }));
                Expect.Throws<ArgumentException>(() => report.AddConfusion("few", labels, new long[5], classes));
                Expect.Throws<ArgumentException>(() => report.AddMap("few", rows, new long[5], classes));
                Expect.Throws<ArgumentException>(() => report.AddHeatMap("heat", "few", image, map, 1, new byte[11]));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddClassSheet("many", frames, labels, classes,
                    new ClassSheet { PerClass = 4000 }));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddMap("method", rows, options: new MapOptions { Method = (MapMethod)9 }));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddConfusion("nameless", labels, answers, new string[0]));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddHeatMap("heat", "other", new Image(new byte[6], 3, 2, PixelFormat.Mono8), map));
            }
        }

        [Test]
        public static void ReportOverTime()
        {
            var file = Path.Combine(Fixtures.Folder(), "time.html");
            using (var report = new Report("time"))
            {
                var signal = new DriftSignal(new DriftSignalLayout
                {
                    struct_size = (UIntPtr)(uint)System.Runtime.InteropServices.Marshal.SizeOf(typeof(DriftSignalLayout)),
                    energy = 2, threshold = 1.5, raised = 1,
                });
                var at = new DateTimeOffset(2026, 2, 27, 4, 0, 0, TimeSpan.FromHours(1));
                report.AddTimePoint("agreement", "KL", "student", at, new Interval(.5, .4, .6));
                report.AddTimePoint("agreement", "KL", "teacher", at.AddDays(1), 0);
                report.AddDrift("drift", at, signal);
                report.AddLimit("agreement", "worst", .7);
                report.Write(file);
                var text = File.ReadAllText(file);
                foreach (var part in new[] { "0.5 (0.4 to 0.6) at 2026-02-27 03:00 UTC", "worst: 0.7", "drift: 2 at 2026-02-27 03:00 UTC, alarm" })
                {
                    Expect.Holds(part, text);
                }
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddTimePoint("agreement", "", "student", at, new Interval(1, 2, 3)));
                Expect.Fails(ErrorCode.InvalidArgument, () => report.AddLimit("no such chart", "l", 1));
            }
        }

        [Test]
        public static void EventFilesAreWritten()
        {
            var folder = Path.Combine(Fixtures.Folder(), "board");
            for (ulong first = 0; first < 2; first++)
            {
                using (var events = new EventFile(folder, first))
                {
                    events.AddScalar("agreement/KL", first, .5);
                    Expect.Fails(ErrorCode.InvalidArgument, () => events.AddScalar("", 1, 1));
                }
            }
            var files = Directory.GetFiles(folder, "events.out.tfevents.*");
            Expect.Equal(2, files.Length);
            Expect.Fails(ErrorCode.Io, () => new EventFile(files[0]));
        }
    }
}
