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
    }
}
