using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class NightTests
    {
        [Test]
        public static void ANightIsInterruptedDoneAndTakenBack()
        {
            var folder = Path.Combine(Fixtures.Folder(), "station");
            // Whatever six steps bring, and whatever else the machine does.
            var options = new NightOptions
            {
                MinNewFrames = 20, HeldOut = .4, K = 3, KlMargin = 1e12, OverlapMargin = 1, LatencyFactor = 1e6,
            };
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Fixtures.NewTeacher(config))
            using (var student = new Student("resnet10_w0.25", config))
            using (var session = Session.FromStudent(student, config))
            using (var store = Store.Open(Path.Combine(Fixtures.Folder(), "frames.store")))
            using (var source = new CancellationTokenSource())
            using (var cancel = new CancelToken())
            {
                for (var i = 0; i < 60; i++)
                {
                    var wide = i / 2 % 2;
                    var pixels = Fixtures.Stripes(wide == 0 ? 2 : 9).Select(value => (byte)(value - i)).ToArray();
                    var entry = i % 2 == 0 ? new StoreEntry { Class = wide, ClassText = wide == 0 ? "narrow" : "wide" } : null;
                    store.Push(new Image(pixels, 40, 36, PixelFormat.Mono8), entry, Timeout.InfiniteTimeSpan);
                }
                store.Flush();
                Expect.Fails(ErrorCode.Io, () => Night.Describe(folder));
                Expect.Fails(ErrorCode.InvalidArgument, () => Night.Run(config, store, teacher, folder));
                source.Cancel();
                Expect.Throws<OperationCanceledException>(() => Night.Run(config, store, teacher, folder, student, options, session,
                    null, source.Token));
                Expect.Throws<InvalidCastException>(() => Night.Run(config, store, teacher, folder, student, options, session,
                    new DirectProgress<NightProgress>(p =>
                    {
                        if (p.Stage == NightStage.Evaluate)
                        {
                            throw new InvalidCastException();
                        }
                    })));
                cancel.Trigger();
                var result = Night.Run(cancel, config, store, teacher, folder, student, options, session);
                Expect.Equal(NightOutcome.Cancelled, result.Outcome);
                Expect.True(double.IsNaN(result.KlNew), "no figure yet");
                cancel.Reset();
                var last = NightStage.Distil;
                result = Night.Run(cancel, config, store, teacher, folder, student, options, session,
                    new DirectProgress<NightProgress>(p => last = p.Stage));
                Expect.Equal("Live 1 60 ", string.Join(" ", result.Outcome, result.Night, result.NewFrames, result.Reason));
                Expect.Equal(NightStage.Report, last);
                Expect.True(result.LabelledFrames > 0 && !double.IsNaN(result.ClassifierRecall), "a classifier");
                result = Night.Run(config, store, teacher, folder, null, options);
                Expect.Equal(NightOutcome.NothingNew, result.Outcome);
                Expect.Holds("0 new frames", result.Reason);
                Night.Restore(folder, config, session);
                Expect.Holds("\"live\":{\"night\":0}", Night.Describe(folder));
                Expect.Throws<ArgumentNullException>(() => Night.Run(null, store, teacher, folder));
                Expect.Throws<ArgumentNullException>(() => Night.Run(config, store, teacher, null));
            }
        }
    }
}
