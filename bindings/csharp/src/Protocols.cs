using System;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>Judging a student by protocols that fine-tune it or carry it to other images.</summary>
    public static class Protocols
    {
        private const int MostClasses = 1 << 16;

        /// <summary>
        /// The semi-supervised protocol: all layers of a copy of a student are fine-tuned on few labels ("finetune.label_fraction" or
        /// "finetune.labels_per_class" of two thirds of each class), and tested on the other third.
        /// </summary>
        /// <param name="config">The settings; split i is that of the seed "seed" + i.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images.</param>
        /// <param name="labels">One class number for each image, or −1 for none.</param>
        /// <param name="splits">The number of splits, each a run.</param>
        /// <param name="progress">Receives how much of the work is done, on this thread; what it throws ends the call and is thrown by
        /// this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for labels that do not fit or are of fewer than two classes.
        /// </exception>
        public static unsafe LinearResult SemiSupervised(Config config, Student student, Dataset images, long[] labels, int splits = 5,
            IProgress<CountProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            var count = (UIntPtr)(uint)Given.Object(labels, nameof(labels)).Length;
            var rounds = (uint)Size.Of(splits, nameof(splits));
            fixed (long* first = labels)
            {
                var numbers = (IntPtr)first;
                return Evaluate(Classes(labels), progress, cancellation,
                    (ref LinearLayout result, IntPtr recalls, UIntPtr classes, CountCallback callback, IntPtr number,
                        CancelTokenHandle cancel) => Native.seed_semi_supervised_evaluate(settings, network, frames, numbers, count,
                        rounds, callback, number, cancel, ref result, recalls, classes));
            }
        }

        /// <summary>
        /// The transfer protocol: a student is judged on other images than it was distilled on, by a linear classifier on frozen
        /// features ("finetune.mode" linear) or with all layers fine-tuned (full).
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images.</param>
        /// <param name="labels">One class number for each image, or −1 for none.</param>
        /// <param name="test">The images to be tested on; null: a third of each class of the others.</param>
        /// <param name="testLabels">Their classes; null where there are none.</param>
        /// <param name="splits">The number of runs.</param>
        /// <param name="progress">As for the semi-supervised protocol.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public static unsafe LinearResult Transfer(Config config, Student student, Dataset images, long[] labels, Dataset test = null,
            long[] testLabels = null, int splits = 5, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            var others = test == null ? DatasetHandle.None : test.Handle;
            var truth = testLabels ?? new long[0];
            var count = (UIntPtr)(uint)Given.Object(labels, nameof(labels)).Length;
            var tested = (UIntPtr)(uint)truth.Length;
            var rounds = (uint)Size.Of(splits, nameof(splits));
            fixed (long* first = labels, second = truth)
            {
                IntPtr numbers = (IntPtr)first, more = (IntPtr)second;
                return Evaluate(Math.Max(Classes(labels), Classes(truth)), progress, cancellation,
                    (ref LinearLayout result, IntPtr recalls, UIntPtr classes, CountCallback callback, IntPtr number,
                        CancelTokenHandle cancel) => Native.seed_transfer_evaluate(settings, network, frames, numbers, count, others,
                        more, tested, rounds, callback, number, cancel, ref result, recalls, classes));
            }
        }

        private delegate IntPtr Call(ref LinearLayout result, IntPtr recalls, UIntPtr classes, CountCallback callback, IntPtr number,
            CancelTokenHandle cancel);

        private static unsafe LinearResult Evaluate(int classes, IProgress<CountProgress> progress, CancellationToken cancellation,
            Call call)
        {
            var recalls = new double[classes];
            var result = new LinearLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(LinearLayout)) };
            fixed (double* means = recalls)
            {
                var found = (IntPtr)means;
                Counted.Run(progress, cancellation, (callback, number, cancel) =>
                    call(ref result, found, (UIntPtr)(uint)classes, callback, number, cancel));
            }
            return new LinearResult(result, recalls);
        }

        internal static int Classes(long[] labels)
        {
            var highest = labels.Length == 0 ? -1 : labels.Max();
            // The library refuses what is far too many; an array of them must not be made before.
            if (highest >= MostClasses)
            {
                throw new ArgumentException("a label is " + highest + ", expected less than " + MostClasses, nameof(labels));
            }
            return (int)highest + 1;
        }
    }
}
