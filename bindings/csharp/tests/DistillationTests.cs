using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class DistillationTests
    {
        // What keeps a run small; the plan chooses the rest.
        private static Config Few() => new Config().Set("image_width", Fixtures.Side).Set("image_height", Fixtures.Side)
            .Set("batch_size", 8).Set("workers", 1).Set("precision", "fp32").Set("device", "cpu");

        // 48 frames in folders of two classes.
        private static Dataset Classed()
        {
            var frames = new Dataset();
            for (var i = 0; i < 48; i++)
            {
                var dark = i / 2;
                var pixels = Fixtures.Stripes(2 + i % 2 * 7).Select(value => (byte)(value - dark)).ToArray();
                frames.Push(new Image(pixels, 40, 36, PixelFormat.Mono8), (i % 2 == 0 ? "narrow/" : "wide/") + i);
            }
            return frames;
        }

        [Test]
        public static void OneCallGivesAStudentAndAReport()
        {
            var folder = Path.Combine(Fixtures.Folder(), "out");
            var time = TimeSpan.FromSeconds(3);
            using (var config = Few())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Classed())
            using (var source = new CancellationTokenSource())
            using (var cancel = new CancelToken())
            {
                source.Cancel();
                Expect.Throws<OperationCanceledException>(() => Distillation.Run(frames, teacher, "mobilenet_v3_small", time, folder,
                    config: config, cancellation: source.Token));
                Expect.Throws<InvalidCastException>(() => Distillation.Run(frames, teacher, "mobilenet_v3_small", time, folder,
                    config: config, progress: new DirectProgress<DistilProgress>(p => throw new InvalidCastException())));
                cancel.Trigger();
                using (var begun = Distillation.Run(cancel, frames, teacher, "mobilenet_v3_small", time, folder, config: config,
                    progress: new DirectProgress<DistilProgress>(p => Expect.True(p.Stage == DistilStage.Plan &&
                        double.IsNaN(p.Loss) && double.IsNaN(p.ProbeAgreement) && p.TimeLeft == TimeSpan.MaxValue, "a first report"))))
                {
                    Expect.Equal(Outcome.Cancelled, begun.Summary().Outcome);
                    Expect.True(double.IsNaN(begun.Summary().AgreementAfter), "no figure yet");
                }
                Expect.True(!File.Exists(Path.Combine(folder, "student.safetensors")), "no student yet");
                cancel.Reset();

                DistilProgress last = null;
                Student student;
                using (var distilled = Distillation.Run(cancel, frames, teacher, "mobilenet_v3_small", time, folder,
                    Fixtures.TeacherPath, config, new DirectProgress<DistilProgress>(p =>
                    {
                        Expect.True(last == null || (p.Stage >= last.Stage && p.Elapsed >= last.Elapsed), "stages in their order");
                        last = p;
                    })))
                {
                    var summary = distilled.Summary();
                    Expect.Equal("Finished 48 2 0.5", string.Join(" ", summary.Outcome, summary.Images, summary.Classes,
                        summary.RecallChance.ToString(System.Globalization.CultureInfo.InvariantCulture)));
                    Expect.True(summary.Steps > 0 && summary.AgreementAfter >= 0 && summary.RecallTeacher >= 0 &&
                        summary.Duration > TimeSpan.Zero, "figures");
                    Expect.True(last.Stage == DistilStage.Report && last.ProbeAgreement >= 0 && last.ProbeRecall >= 0, "a last report");
                    Expect.Equal(summary.Warnings, (long)distilled.Warnings().Count);
                    using (var settings = Config.FromJson(distilled.Settings()))
                    {
                        Expect.Equal(8L, settings.GetInt64("batch_size"));
                    }
                    student = distilled.Student();
                    distilled.Dispose();
                    Expect.Throws<ObjectDisposedException>(() => distilled.Summary());
                    Expect.Throws<ObjectDisposedException>(() => distilled.Student());
                }
                using (student)
                {
                    Expect.Equal(Fixtures.Dim, student.Dim);
                }
                Expect.True(File.Exists(Path.Combine(folder, "report.html")), "a report");
                Session.Open(Path.Combine(folder, "student.safetensors"), config).Dispose();
            }
        }

        [Test]
        public static void WhatCannotBeDistilledIsRefused()
        {
            var folder = Fixtures.Folder();
            var time = TimeSpan.FromMinutes(1);
            using (var config = Few())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Classed())
            using (var none = new Dataset())
            {
                var open = SeedHandle.Open;
                Expect.Fails(ErrorCode.InvalidArgument, () => Distillation.Run(frames, teacher, "mobilenet_v9", time, folder));
                Expect.Fails(ErrorCode.InvalidArgument, () => Distillation.Run(none, teacher, "resnet18", time, folder));
                Expect.Fails(ErrorCode.InvalidArgument, () => Distillation.Run(frames, teacher, "resnet18", TimeSpan.FromSeconds(.5), folder));
                Expect.Fails(ErrorCode.Io, () => Distillation.Run(frames, teacher, "resnet18", time, folder, "/no/such/file"));
                Expect.Throws<ArgumentNullException>(() => Distillation.Run(null, teacher, "resnet18", time, folder));
                Expect.Throws<ArgumentNullException>(() => Distillation.Run(frames, null, "resnet18", time, folder));
                Expect.Throws<ArgumentNullException>(() => Distillation.Run(frames, teacher, null, time, folder));
                Expect.Throws<ArgumentNullException>(() => Distillation.Run(frames, teacher, "resnet18", time, null));
                Expect.Throws<ArgumentNullException>(() => Distillation.Run((CancelToken)null, frames, teacher, "resnet18", time, folder));
                Expect.Equal(open, SeedHandle.Open);
            }
        }

        [Test]
        public static void PresetsAndPlansSetWhatWasNotSet()
        {
            using (var config = Few())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Classed())
            {
                Expect.Fails(ErrorCode.Config, () => config.Preset("sight"));
                Expect.Fails(ErrorCode.InvalidArgument, () => config.Plan(frames, teacher, "mobilenet_v3_small", TimeSpan.Zero));
                Expect.Equal(.03, config.GetDouble("learning_rate"));
                config.Plan(frames, teacher, "mobilenet_v3_small", TimeSpan.FromSeconds(3), true);
                Expect.Equal(.05, config.GetDouble("learning_rate"));
                Expect.Equal(48L, config.GetInt64("queue_capacity"));
                Expect.Equal((long)Fixtures.Side, config.GetInt64("image_width"));
                Expect.Equal(.2, config.Preset("site").GetDouble("learning_rate"));
            }
        }
    }
}
