using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class DriftTests
    {
        // Noise around a direction.
        private static Embeddings Cloud(int count, int towards, Random random) => new Embeddings(Enumerable.Range(0, count * 8)
            .Select(i => (float)(random.NextDouble() - .5) + (i % 8 == towards ? 1 : 0)).ToArray(), 8);

        [Test]
        public static void OtherImagesRaiseASignal()
        {
            var random = new Random(5);
            var path = Path.Combine(Fixtures.Folder(), "drift.safetensors");
            Embeddings same, other = Cloud(40, 3, random);
            DriftSignal alarmed;
            using (var drift = new Drift(Cloud(200, 0, random)))
            {
                same = Cloud(40, 0, random);
                var calm = drift.Measure(same);
                alarmed = drift.Measure(other);
                Expect.True(alarmed.IsRaised && alarmed.Energy > alarmed.Threshold && alarmed.Outside > .5 && alarmed.PValue <= .01,
                    "another cloud is noticed");
                Expect.True(calm.Energy < alarmed.Energy / 4 && calm.Nearest < alarmed.Nearest, "the same one is nearer");
                Expect.Equal(calm.Energy > calm.Threshold, calm.IsRaised);
                Expect.Equal(alarmed.NearestReference, calm.NearestReference);
                drift.Save(path);
                Expect.Fails(ErrorCode.Mismatch, () => drift.Measure(new Embeddings(new float[40], 4)));
            }
            var again = Drift.Load(path);
            Expect.Near(alarmed.Energy, again.Measure(other).Energy, 1e-6);
            again.Dispose();
            Expect.Throws<ObjectDisposedException>(() => again.Measure(same));
            Expect.Fails(ErrorCode.InvalidArgument, () => new Drift(Cloud(5, 0, random)));
            Expect.Fails(ErrorCode.Io, () => Drift.Load(path + ".none"));
        }

        [Test]
        public static void FidelityIsMeasuredAndCompared()
        {
            var random = new Random(7);
            Embeddings teacher = Cloud(60, 0, random), queue = Cloud(100, 0, random);
            // The teacher is its own best student.
            var best = Fidelity.Measure(teacher, teacher, queue, 5, .1, .1);
            Expect.Equal("60 5 100 1", string.Join(" ", best.Frames, best.K, best.Queue, best.Overlap.Value));
            Expect.Near(0, best.Kl.Value, 1e-6);
            Expect.Near(1, best.Cosine.Value, 1e-6);
            var worst = Fidelity.Measure(Cloud(60, 3, random), teacher, queue, 5, .1, .1);
            Expect.True(worst.Kl.Low <= worst.Kl.Value && worst.Kl.Value <= worst.Kl.High, "an interval around its mean");
            Expect.Equal(Worse.Kl | Worse.Overlap | Worse.Cosine, worst.WorseThan(best));
            Expect.Equal(Worse.None, best.WorseThan(worst));
            // What was kept as text is as good.
            var kept = new Fidelity
            {
                Frames = 60, K = 5, Queue = 100, TemperatureStudent = .1, TemperatureTeacher = .1, Kl = new Interval(0, 0, 0),
                Overlap = new Interval(1, 1, 1), Cosine = new Interval(1, 1, 1),
            };
            Expect.Equal(Worse.Kl | Worse.Overlap | Worse.Cosine, worst.WorseThan(kept));
            var usual = Fidelity.Measure(teacher, teacher, queue);
            Expect.Equal("10 0.2 0.01", string.Join(" ", usual.K, usual.TemperatureStudent, usual.TemperatureTeacher));
            Expect.Fails(ErrorCode.Mismatch, () => usual.WorseThan(best));
            Expect.Throws<ArgumentException>(() => Fidelity.Measure(teacher, queue, queue));
        }

        [Test]
        public static void GateComparesStudents()
        {
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            using (var fresh = Session.FromStudent(student, config))
            using (var frames = new Dataset())
            using (var source = new CancellationTokenSource())
            {
                for (var i = 0; i < 24; i++)
                {
                    frames.Push(new Image(Fixtures.Stripes(i % 2 == 0 ? 2 : 9).Select(value => (byte)(value - i)).ToArray(), 40, 36,
                        PixelFormat.Mono8));
                }
                var labels = Enumerable.Range(0, 24).Select(i => i % 2L).ToArray();
                var old = Fixtures.TellingSession;
                var done = 0L;
                // A student that takes its own place is no worse.
                var verdict = Gate.Judge(old, old, old, frames, frames, labels, new GateOptions { K = 3, LatencyFactor = 100 },
                    new DirectProgress<CountProgress>(p => done = p.Done));
                Expect.True(done > 0, "images that were counted");
                Expect.True(verdict.Passes && verdict.Kl.Holds && verdict.Overlap.Holds && verdict.Recall.Holds && verdict.Latency.Holds,
                    "the same passes");
                Expect.Equal(verdict.Kl.OldValue, verdict.Kl.NewValue);
                Expect.Equal(0.0, verdict.Overlap.Difference.Value);
                Expect.True(verdict.Latency.OldValue > 0, "a latency");
                // A fresh MobileNet gives nearly one vector for all, so the teacher's neighbours are lost.
                verdict = Gate.Judge(old, fresh, old, frames, frames, labels, new GateOptions { K = 3 });
                Expect.True(!verdict.Passes && !verdict.Overlap.Holds && verdict.Overlap.NewValue < verdict.Overlap.OldValue,
                    "a fresh one does not");
                Expect.Throws<InvalidCastException>(() => Gate.Judge(old, fresh, old, frames, frames, labels, null,
                    new DirectProgress<CountProgress>(p => throw new InvalidCastException())));
                source.Cancel();
                Expect.Throws<OperationCanceledException>(() => Gate.Judge(old, fresh, old, frames, frames, labels, null, null, source.Token));
                Expect.Fails(ErrorCode.InvalidArgument, () => Gate.Judge(old, fresh, old, frames, frames, labels.Skip(1).ToArray()));
                Expect.Throws<ArgumentNullException>(() => Gate.Judge(old, null, old, frames, frames, labels));
            }
        }
    }
}
