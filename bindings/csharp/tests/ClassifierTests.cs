using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class ClassifierTests
    {
        // Narrow and wide stripes of several brightnesses.
        private static Image Part(int number)
        {
            var pixels = Fixtures.Stripes(number % 2 == 0 ? 2 : 9).Select(value => (byte)(value - number)).ToArray();
            return new Image(pixels, 40, 36, PixelFormat.Mono8);
        }

        private static Dataset Parts(int count = 24)
        {
            var parts = new Dataset();
            for (var i = 0; i < count; i++)
            {
                parts.Push(Part(i), (i % 2 == 0 ? "narrow/" : "wide ü/") + i);
            }
            return parts;
        }

        private static Classifier Fitted(Config config, Dataset parts, IProgress<FitProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            using (var student = new Student("resnet18", config))
            {
                return Classifier.Fit(config, student, parts, parts.ClassLabels(), parts.Classes(), null, progress, cancellation);
            }
        }

        [Test]
        public static void FoldersAreClasses()
        {
            using (var parts = Parts(4))
            {
                parts.Push(Fixtures.Striped(3), "loose");
                Expect.Equal("0 1 0 1 -1", string.Join(" ", parts.ClassLabels()));
                Expect.Equal("narrow, wide ü", string.Join(", ", parts.Classes()));
            }
        }

        [Test]
        public static void PartsAreToldApart()
        {
            using (var config = Fixtures.SmallConfig())
            using (var parts = Parts())
            {
                var stages = new System.Collections.Generic.HashSet<FitStage>();
                var labels = parts.ClassLabels();
                var images = Enumerable.Range(0, 24).Select(Part).ToArray();
                var path = Path.Combine(Fixtures.Folder(), "classifier.safetensors");
                Verdict[] verdicts;
                using (var classifier = Fitted(config, parts, new DirectProgress<FitProgress>(p =>
                {
                    Expect.True(p.Done <= p.Total, p.Done + " of " + p.Total);
                    stages.Add(p.Stage);
                })))
                {
                    Expect.Equal("Embedding Linear", string.Join(" ", stages.OrderBy(stage => stage)));
                    Expect.Equal("narrow, wide ü", string.Join(", ", classifier.Classes));
                    verdicts = classifier.Classify(images);
                    Expect.Equal(string.Join(" ", labels), string.Join(" ", verdicts.Select(verdict => verdict.Class)));
                    foreach (var verdict in verdicts)
                    {
                        Expect.Near(1, verdict.Probabilities.Sum(), 1e-5);
                        Expect.Equal(verdict.Confidence, verdict.Probabilities[verdict.Class]);
                    }
                    Expect.Equal(0, classifier.Classify().Length);
                    Expect.Holds("\"temperature\"", classifier.Description);
                    var confusion = classifier.Confusion();
                    Expect.Equal("2 2", confusion.Length + " " + confusion[1].Length);
                    Expect.True(confusion[0][0] + confusion[0][1] > 0, "held-out images of the first class");
                    Expect.Holds("wide ü", classifier.ConfusionCsv);
                    using (var report = new Report("Classes"))
                    {
                        report.AddConfusion("Held out", classifier);
                        report.Write(path + ".html");
                    }
                    Expect.Holds("wide ü", File.ReadAllText(path + ".html"));
                    classifier.Save(path);
                }
                using (var again = Classifier.Open(path, config))
                {
                    var count = 0L;
                    var answers = again.Classify(parts, new DirectProgress<CountProgress>(p => count = p.Done));
                    Expect.Equal(24L, count);
                    for (var i = 0; i < answers.Length; i++)
                    {
                        Expect.Equal(verdicts[i].Class, answers[i].Class);
                        Expect.Near(verdicts[i].Confidence, answers[i].Confidence, 1e-4);
                    }
                    again.Export(path + ".onnx", ExportInput.Bytes);
                    using (var model = Model.Open(path + ".onnx"))
                    {
                        Expect.Equal(HeadKind.Classifier, model.Info.Head);
                    }
                    Expect.Fails(ErrorCode.InvalidArgument, () => again.Export(path + ".onnx", (ExportInput)9));
                    Expect.Fails(ErrorCode.Io, () => again.Export("/no/such/folder/classifier.onnx", ExportInput.Unit));
                    Expect.Holds("\"images\":24", again.Judge(parts, labels).Replace(" ", ""));
                    Expect.Fails(ErrorCode.InvalidArgument, () => again.Judge(parts, labels.Skip(1).ToArray()));
                    Expect.Throws<InvalidCastException>(() => again.Classify(parts,
                        new DirectProgress<CountProgress>(p => throw new InvalidCastException())));
                    using (var token = new CancelToken())
                    using (var source = new CancellationTokenSource())
                    {
                        token.Trigger();
                        source.Cancel();
                        Expect.Fails(ErrorCode.Cancelled, () => again.Classify(token, parts));
                        Expect.Fails(ErrorCode.Cancelled, () => again.Judge(token, parts, labels));
                        Expect.Throws<OperationCanceledException>(() => again.Classify(parts, null, source.Token));
                        Expect.Throws<OperationCanceledException>(() => again.Judge(parts, labels, null, source.Token));
                    }
                    // A third class joins the two.
                    var flat = Enumerable.Range(0, 6).Select(i =>
                        new Image(Enumerable.Repeat((byte)(90 + i), 1440).ToArray(), 40, 36, PixelFormat.Mono8)).ToArray();
                    foreach (var image in flat)
                    {
                        parts.Push(image, "xflat/1");
                    }
                    using (var wider = Classifier.Extend(config, again, parts, parts.ClassLabels(), parts.Classes()))
                    {
                        Expect.Equal(2, wider.Classify(flat[0])[0].Class);
                    }
                    again.Dispose();
                    Expect.Throws<ObjectDisposedException>(() => again.Classify(images[0]));
                    Expect.Throws<ObjectDisposedException>(() => again.Description.ToString());
                    Expect.Throws<ObjectDisposedException>(() => again.Export(path + ".onnx", ExportInput.Bytes));
                }
                Expect.Fails(ErrorCode.Format, () => Classifier.Open(path + ".html", config));
            }
        }

        [Test]
        public static void ProtocolsAndTeachersClassifiers()
        {
            using (var config = Fixtures.SmallConfig())
            using (var full = Fixtures.SmallConfig().Set("finetune.mode", "full").Set("finetune.epochs", 1))
            using (var parts = Parts())
            using (var student = new Student("resnet18", config))
            using (var teacher = Fitted(config, parts))
            using (var source = new CancellationTokenSource())
            {
                var labels = parts.ClassLabels();
                using (var pupil = Classifier.Distil(full, student, teacher, parts, labels, parts.Classes()))
                {
                    Expect.Equal(2, pupil.Classes.Count);
                }
                Expect.Fails(ErrorCode.InvalidArgument, () => Classifier.Distil(config, student, teacher, parts, labels, parts.Classes()));
                Expect.Throws<ArgumentNullException>(() => Classifier.Distil(full, student, null, parts, labels, parts.Classes()));
                CountProgress last = default(CountProgress);
                var semi = Protocols.SemiSupervised(full, student, parts, labels, 2, new DirectProgress<CountProgress>(p => last = p));
                Expect.Equal("4 of 4", last.Done + " of " + last.Total);
                Expect.Near(semi.BalancedRecallMean, semi.Recalls.Average(), 1e-9);
                var carried = Protocols.Transfer(config, student, parts, labels, parts, labels, 1);
                Expect.True(carried.AccuracyMean > .5, "accuracy " + carried.AccuracyMean);
                Expect.Equal(2, Protocols.Transfer(config, student, parts, labels, splits: 2).Recalls.Count);
                Expect.Fails(ErrorCode.InvalidArgument, () => Protocols.Transfer(config, student, parts, labels.Skip(1).ToArray()));
                source.Cancel();
                Expect.Throws<OperationCanceledException>(() => Protocols.SemiSupervised(full, student, parts, labels, 2, null, source.Token));
            }
        }

        [Test]
        public static void TheLinearProbeBySgd()
        {
            using (var config = Fixtures.SmallConfig().Set("linear.epochs", 3))
            using (var parts = Parts())
            using (var student = new Student("resnet18", config))
            using (var source = new CancellationTokenSource())
            {
                var labels = parts.ClassLabels();
                FitProgress last = null;
                var found = LinearSgd.Evaluate(config, student, parts, labels, parts, labels, new DirectProgress<FitProgress>(p => last = p));
                Expect.Equal((long)labels.Length, found.Images);
                Expect.Equal((long)labels.Length, found.TestImages);
                Expect.Equal(2, found.Recalls.Count);
                Expect.Near(found.BalancedRecall, found.Recalls.Average(), 1e-9);
                Expect.True(found.Top5Accuracy == 1 && !double.IsNaN(found.Loss + found.TrainLoss), "the loss is " + found.Loss);
                Expect.Equal(FitStage.Test, last.Stage);
                Expect.Equal((long)labels.Length, last.Done);
                Expect.Fails(ErrorCode.InvalidArgument,
                    () => LinearSgd.Evaluate(config, student, parts, labels, parts, labels.Skip(1).ToArray()));
                Expect.Throws<ArgumentNullException>(() => LinearSgd.Evaluate(config, student, parts, labels, null, labels));
                Expect.Throws<NotSupportedException>(() => LinearSgd.Evaluate(config, student, parts, labels, parts, labels,
                    new DirectProgress<FitProgress>(p => { throw new NotSupportedException(); })));
                source.Cancel();
                Expect.Throws<OperationCanceledException>(
                    () => LinearSgd.Evaluate(config, student, parts, labels, parts, labels, null, source.Token));
            }
        }

        [Test]
        public static void MasksAreLearned()
        {
            var before = SeedHandle.Open;
            var folder = Fixtures.Folder();
            using (var config = Fixtures.SmallConfig())
            using (var parts = Parts())
            using (var student = new Student("resnet18", config))
            using (var source = new CancellationTokenSource())
            {
                var half = Enumerable.Range(0, 40 * 36).Select(at => (byte)(at % 40 < 20 ? 1 : 0)).ToArray();
                var masks = Enumerable.Range(0, 24).Select(i => i == 0 ? (Image?)null : new Image(half, 40, 36, PixelFormat.Mono8)).ToArray();
                var names = new[] { "right", "left" };
                var file = System.IO.Path.Combine(folder, "segmenter.safetensors");
                byte[] classes;
                using (var segmenter = Segmenter.Fit(config, student, parts, masks, names))
                {
                    Expect.Equal(2, segmenter.ClassCount);
                    Expect.Equal(0, segmenter.Warnings().Count);
                    var found = segmenter.Segment(Part(1));
                    classes = found.Classes;
                    Expect.Equal(40 * 36, found.Confidences.Length);
                    double[] ious;
                    var mean = Segmenter.Overlap(classes, half, 2, out ious);
                    Expect.Near(mean, ious.Average(), 1e-9);
                    segmenter.Save(file);
                }
                using (var opened = Segmenter.Open(file, config))
                {
                    Expect.True(opened.Segment(Part(1)).Classes.SequenceEqual(classes), "the opened segmenter gives other classes");
                    Expect.True(opened.Description.Contains("\"left\""), opened.Description);
                }
                var spread = Segmenter.Evaluate(config, student, parts, masks, 2, 2);
                Expect.True(spread.Ious.Count == 2 && spread.MeanIouMean > 0 && spread.AccuracyMean > 0, "mIoU " + spread.MeanIouMean);
                Expect.Fails(ErrorCode.InvalidArgument, () => Segmenter.Fit(config, student, parts, masks.Skip(1).ToArray(), names));
                Expect.Throws<ArgumentOutOfRangeException>(() => Segmenter.Evaluate(config, student, parts, masks, 256));
                source.Cancel();
                Expect.Throws<OperationCanceledException>(() => Segmenter.Fit(config, student, parts, masks, names, null, source.Token));
            }
            Expect.Equal(before, SeedHandle.Open);
        }

        [Test]
        public static void FitsEnd()
        {
            var before = SeedHandle.Open;
            using (var config = Fixtures.SmallConfig().Set("finetune.mode", "full").Set("finetune.batch_size", 4))
            using (var parts = Parts())
            using (var student = new Student("resnet18", config))
            using (var source = new CancellationTokenSource())
            using (var token = new CancelToken())
            {
                var classes = parts.Classes();
                var labels = parts.ClassLabels();
                Outcome outcome;
                // The linear one is there when the layers begin to learn.
                using (var best = Classifier.Fit(token, out outcome, config, student, parts, labels, classes, null,
                    new DirectProgress<FitProgress>(p =>
                    {
                        if (p.Stage == FitStage.Full)
                        {
                            token.Trigger();
                        }
                    })))
                {
                    Expect.Equal(Outcome.Cancelled, outcome);
                    Expect.Equal(2, best.Classify(Part(0))[0].Probabilities.Length);
                }
                Expect.Fails(ErrorCode.Cancelled, () => Classifier.Fit(token, out outcome, config, student, parts, labels, classes));
                Expect.Throws<OperationCanceledException>(() => Fitted(config, parts, new DirectProgress<FitProgress>(p =>
                {
                    if (p.Stage == FitStage.Full)
                    {
                        source.Cancel();
                    }
                }), source.Token));
                Expect.Throws<InvalidCastException>(() => Fitted(config, parts, new DirectProgress<FitProgress>(p =>
                {
                    if (p.Stage == FitStage.Full)
                    {
                        throw new InvalidCastException();
                    }
                })));
                Expect.Fails(ErrorCode.InvalidArgument, () => Classifier.Fit(config, student, parts, labels.Skip(1).ToArray(), classes));
                Expect.Fails(ErrorCode.InvalidArgument, () => Classifier.Fit(config, student, parts, labels, new[] { "a", "a" }));
                Expect.Throws<ArgumentNullException>(() => Classifier.Fit(config, student, parts, null, classes));
                Expect.Throws<ArgumentNullException>(() => Classifier.Extend(config, null, parts, labels, classes));
            }
            Expect.True(SeedHandle.Open <= before, "nothing left of what was made");
        }
    }
}
