using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class AnomalyTests
    {
        private const int Side = 64;

        private static bool IsScratch(int pixel) => pixel % Side >= 40 && pixel % Side < 56 && pixel / Side >= 8 && pixel / Side < 24;

        // Stripes of some brightness; a scratch is a white square in them.
        private static Image Part(int number, bool scratched = false)
        {
            var pixels = Fixtures.Stripes(4, Side, Side);
            for (var i = 0; i < pixels.Length; i++)
            {
                pixels[i] = scratched && IsScratch(i) ? (byte)255 : (byte)(pixels[i] + number % 12);
            }
            return new Image(pixels, Side, Side, PixelFormat.Mono8);
        }

        private static Dataset Parts(int count)
        {
            var parts = new Dataset();
            for (var i = 0; i < count; i++)
            {
                parts.Push(Part(i));
            }
            return parts;
        }

        [Test]
        public static void ScratchesAreFound()
        {
            var path = Path.Combine(Fixtures.Folder(), "good.safetensors");
            using (var config = Fixtures.SmallConfig().Set("image_width", Side).Set("image_height", Side))
            using (var student = new Student("resnet18", config))
            using (var parts = Parts(20))
            using (var more = Parts(10))
            using (var token = new CancelToken())
            using (var source = new CancellationTokenSource())
            {
                var open = SeedHandle.Open;
                var done = 0L;
                AnomalyScore[] scores;
                using (var anomaly = Anomaly.Fit(config, student, parts, new DirectProgress<CountProgress>(p => done = p.Done)))
                {
                    Expect.True(done > 0, "images that were counted");
                    // Of twenty parts four are held out.
                    Expect.Near(.2, anomaly.FalseAlarmRate, 1e-9);
                    // Parts come again and all their patches are kept, so a held-out one may be known to the last level.
                    Expect.True(anomaly.Threshold >= 0 && !float.IsInfinity(anomaly.Threshold), "a threshold, " + anomaly.Threshold);
                    scores = anomaly.Scores(Part(3), Part(3, true));
                    Expect.True(scores[1].IsAlarm && scores[1].Score > scores[0].Score && scores[1].Score > anomaly.Threshold,
                        "the scratch is an alarm");
                    Expect.Equal(0, anomaly.Scores().Length);
                    var map = anomaly.Map(Part(3, true));
                    Expect.Equal("64 64 4096 True", string.Join(" ", map.Width, map.Height, map.Distances.Length, map.IsAlarm));
                    Expect.Near(scores[1].Score, map.Score, 1e-3 * map.Score);
                    // Four held-out parts say little about one false alarm in a hundred.
                    Expect.Equal(1, anomaly.Warnings().Count);
                    Expect.Holds("too few", anomaly.Warnings()[0]);
                    var painted = map.Paint(Part(3, true));
                    Expect.Equal("64 64 Rgb8", string.Join(" ", painted.Width, painted.Height, painted.Format));
                    Expect.True(Picture.Decode(Picture.EncodePng(painted.View)).Pixels.SequenceEqual(painted.Pixels), "a PNG of it");
                    Expect.Fails(ErrorCode.Io, () => Picture.SavePng(painted.View, "/no/such/folder/map.png"));
                    // The scratch is where the map is high.
                    var mask = Enumerable.Range(0, Side * Side).Select(pixel => IsScratch(pixel) ? (byte)1 : (byte)0).ToArray();
                    Expect.True(Measures.Auroc(map.Distances, mask) > .8, "the map finds the scratch");
                    Expect.True(Measures.RegionOverlap(new[] { new DefectMap(map.Distances, mask, Side, Side) }) > .3, "and covers it");
                    anomaly.Save(path);
                }
                // A single good part: the threshold comes of itself, and the warning says so.
                using (var part = Parts(1))
                using (var one = Anomaly.Fit(config, student, part))
                {
                    Expect.True(one.Threshold > 0 && !float.IsInfinity(one.Threshold), "a threshold, " + one.Threshold);
                    Expect.True(double.IsNaN(one.FalseAlarmRate), "no rate, " + one.FalseAlarmRate);
                    Expect.Equal(1, one.Warnings().Count);
                    Expect.Holds("none of the 1 good parts was held out", one.Warnings()[0]);
                }
                using (var again = Anomaly.Open(path, config))
                {
                    var same = again.Scores(Part(3), Part(3, true));
                    Expect.Near(scores[0].Score, same[0].Score, 1e-3);
                    Expect.Near(scores[1].Score, same[1].Score, 1e-3);
                    Expect.Holds("\"held_out\":4", again.Description.Replace(" ", ""));
                    again.Export(path + ".onnx", ExportInput.Bytes);
                    using (var model = Model.Open(path + ".onnx"))
                    {
                        Expect.Equal(HeadKind.None, model.Info.Head);
                    }
                    Expect.Fails(ErrorCode.InvalidArgument, () => again.Export(path + ".onnx", (ExportInput)9));
                    Expect.Fails(ErrorCode.Io, () => again.Export("/no/such/folder/good.onnx", ExportInput.Unit));
                    again.Add(config, more);
                    Expect.Holds("\"held_out\":6", again.Description.Replace(" ", ""));
                    token.Trigger();
                    source.Cancel();
                    Expect.Fails(ErrorCode.Cancelled, () => again.Add(token, config, more));
                    Expect.Throws<OperationCanceledException>(() => again.Add(config, more, null, source.Token));
                    Expect.Holds("\"held_out\":6", again.Description.Replace(" ", ""));
                    again.Dispose();
                    Expect.Throws<ObjectDisposedException>(() => again.Map(Part(1)));
                    Expect.Throws<ObjectDisposedException>(() => again.Add(config, more));
                    Expect.Throws<ObjectDisposedException>(() => again.Export(path + ".onnx", ExportInput.Bytes));
                }
                Expect.Fails(ErrorCode.Cancelled, () => Anomaly.Fit(token, config, student, parts));
                Expect.Throws<OperationCanceledException>(() => Anomaly.Fit(config, student, parts, null, source.Token));
                Expect.Throws<InvalidCastException>(() => Anomaly.Fit(config, student, parts,
                    new DirectProgress<CountProgress>(p => throw new InvalidCastException())));
                Expect.Fails(ErrorCode.Io, () => Anomaly.Open(path + ".none", config));
                Expect.Throws<ArgumentNullException>(() => Anomaly.Fit(config, student, null));
                Expect.True(SeedHandle.Open <= open, "nothing left of what was made");
            }
        }

        [Test]
        public static void FramesAreResizedAsTheSettingSays()
        {
            var white = new Image(Enumerable.Repeat((byte)255, 2 * Fixtures.Side * Fixtures.Side).ToArray(), 2 * Fixtures.Side, Fixtures.Side,
                PixelFormat.Mono8);
            foreach (Resize resize in Enum.GetValues(typeof(Resize)))
            {
                using (var config = Fixtures.SmallConfig())
                {
                    config.Set("resize", resize.ToString().ToLowerInvariant());
                    Expect.Fails(ErrorCode.Config, () => config.Set("resize", "stretch"));
                    using (var student = Fixtures.NewStudent(config))
                    using (var session = Session.FromStudent(student, config))
                    using (var model = Model.Of(session))
                    {
                        Expect.Equal(resize, model.Info.Resize);
                        var bytes = session.Preprocess(white);
                        Expect.Equal(3 * Fixtures.Side * Fixtures.Side, bytes.Length);
                        // The first rows of a letterbox are ImageNet's mean colour.
                        Expect.Equal(resize == Resize.Letterbox ? (byte)124 : (byte)255, bytes[0]);
                        Expect.Equal((byte)255, bytes[3 * (Fixtures.Side / 2 * Fixtures.Side + Fixtures.Side / 2)]);
                        Expect.Equal(2 * bytes.Length, session.Preprocess(white, white).Length);
                    }
                }
            }
        }

        [Test]
        public static void FeatureMapsAreThere()
        {
            var session = Fixtures.TellingSession;
            Expect.Equal("layer1 64 4, layer2 128 8, layer3 256 16, layer4 512 32",
                string.Join(", ", session.Stages().Select(stage => stage.Name + " " + stage.Channels + " " + stage.Stride)));
            var both = session.FeatureMap("layer2", Fixtures.Striped(3), Fixtures.Striped(5));
            var alone = session.FeatureMap("layer2", Fixtures.Striped(5));
            Expect.Equal(128 * (Fixtures.Side / 8) * (Fixtures.Side / 8), alone.Length);
            Expect.Equal(2 * alone.Length, both.Length);
            for (var i = 0; i < alone.Length; i++)
            {
                Expect.Near(alone[i], both[alone.Length + i], 1e-3);
            }
            Expect.Fails(ErrorCode.InvalidArgument, () => session.FeatureMap("layer9", Fixtures.Striped(5)));
        }

        [Test]
        public static void MeasuresMeasure()
        {
            // Of four pairs of a positive and a negative three are in order, and one is half.
            Expect.Equal(.875, Measures.Auroc(new[] { .9f, .5f, .5f, .1f }, new byte[] { 1, 1, 0, 0 }));
            Expect.Fails(ErrorCode.InvalidArgument, () => Measures.Auroc(new[] { 1f, 2f }, new byte[] { 1, 1 }));
            Expect.Throws<ArgumentException>(() => Measures.Auroc(new[] { 1f, 2f }, new byte[] { 1 }));
            var perfect = new DefectMap(new float[] { 0, 0, 1, 0, 0, 0 }, new byte[] { 0, 0, 1, 0, 0, 0 }, 3, 2);
            Expect.Near(1, Measures.RegionOverlap(new[] { perfect, perfect }), 1e-9);
            Expect.Throws<ArgumentException>(() => new DefectMap(new float[6], new byte[6], 3, 3));
            Expect.Fails(ErrorCode.InvalidArgument, () => Measures.RegionOverlap(new DefectMap[0]));
            var values = Enumerable.Range(0, 30).SelectMany(i => i % 2 == 0 ? new[] { 1f, i / 100f } : new[] { i / 100f, 1f }).ToArray();
            var labels = Enumerable.Range(0, 30).Select(i => i == 4 ? -1L : i % 2).ToArray();
            var features = new Embeddings(values, 2);
            var result = Measures.Linear(features, labels, 3);
            Expect.Equal("1 1 1 0", string.Join(" ", result.AccuracyMean, result.BalancedRecallMean, result.AurocMean,
                result.AccuracyDeviation));
            Expect.Equal("1 1", string.Join(" ", result.Recalls));
            Expect.Throws<ArgumentException>(() => Measures.Linear(features, labels.Skip(1).ToArray()));
            labels[0] = int.MaxValue;
            Expect.Throws<ArgumentException>(() => Measures.Linear(features, labels));
        }
    }
}
