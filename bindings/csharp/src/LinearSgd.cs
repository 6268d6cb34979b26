using System;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>What <see cref="LinearSgd.Evaluate"/> found; shares are 0 to 1.</summary>
    public sealed class LinearSgdResult
    {
        internal LinearSgdResult(LinearSgdLayout from, double[] recalls)
        {
            Images = (long)from.images;
            TestImages = (long)from.test_images;
            Accuracy = from.accuracy;
            Top5Accuracy = from.top5_accuracy;
            BalancedRecall = from.balanced_recall;
            Loss = from.loss;
            TrainLoss = from.train_loss;
            Recalls = recalls;
        }

        /// <summary>Labelled images that were learned from.</summary>
        public long Images { get; }

        /// <summary>Labelled images that were tested on; broken ones are left out.</summary>
        public long TestImages { get; }

        /// <summary>Share of the test images whose class is the most probable one (top-1).</summary>
        public double Accuracy { get; }

        /// <summary>Share of the test images whose class is among the five most probable ones (top-5).</summary>
        public double Top5Accuracy { get; }

        /// <summary>Mean recall of the classes that have a test image.</summary>
        public double BalancedRecall { get; }

        /// <summary>Mean −log of the probability that the test images' classes were given.</summary>
        public double Loss { get; }

        /// <summary>Mean loss of the last pass over the images that were learned from.</summary>
        public double TrainLoss { get; }

        /// <summary>The recall of each class; NaN for one without a test image.</summary>
        public IReadOnlyList<double> Recalls { get; }
    }

    /// <summary>The paper's linear protocol.</summary>
    public static class LinearSgd
    {
        /// <summary>
        /// A linear classifier learns by SGD on the frozen features of a student, by the settings "linear.…", and is tested once on other
        /// images. Memory does not grow with the number of images.
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images to learn from.</param>
        /// <param name="labels">One class number for each of them, or −1 for none.</param>
        /// <param name="test">The images to be tested on.</param>
        /// <param name="testLabels">One class number for each of them, or −1 for none.</param>
        /// <param name="progress">Receives reports on this thread; what it throws ends the call and is thrown by this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for labels that do not fit or are of fewer than two classes;
        /// <see cref="ErrorCode.Mismatch"/> for a student that gives NaN; <see cref="ErrorCode.Torch"/> where the classifier diverges: lower
        /// "linear.learning_rate" then.
        /// </exception>
        public static unsafe LinearSgdResult Evaluate(Config config, Student student, Dataset images, long[] labels, Dataset test,
            long[] testLabels, IProgress<FitProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            var others = Given.Object(test, nameof(test)).Handle;
            var count = (UIntPtr)(uint)Given.Object(labels, nameof(labels)).Length;
            var tested = (UIntPtr)(uint)Given.Object(testLabels, nameof(testLabels)).Length;
            var recalls = new double[Math.Max(Protocols.Classes(labels), Protocols.Classes(testLabels))];
            var result = new LinearSgdLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(LinearSgdLayout)) };
            using (var link = new Cancellation(cancellation))
            {
                ExceptionDispatchInfo ended = null;
                using (InFlight.Begin(link.Handle))
                using (var callback = new Callback<FitProgress>(progress))
                fixed (long* first = labels, second = testLabels)
                fixed (double* means = recalls)
                {
                    try
                    {
                        callback.Settle(SeedError.Take(Native.seed_linear_sgd_evaluate(settings, network, frames, (IntPtr)first, count,
                            others, (IntPtr)second, tested, callback.Wanted ? Callbacks.Fitting : null, callback.Number, link.Handle,
                            ref result, (IntPtr)means, (UIntPtr)(uint)recalls.Length)));
                    }
                    catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                    {
                        ended = ExceptionDispatchInfo.Capture(error);
                    }
                }
                // It may be the end of the process that has cancelled.
                InFlight.StayWhenLeaving();
                if (ended != null)
                {
                    cancellation.ThrowIfCancellationRequested();
                    ended.Throw();
                }
            }
            return new LinearSgdResult(result, recalls);
        }
    }
}
