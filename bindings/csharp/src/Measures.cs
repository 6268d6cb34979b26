using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>A heat map with the truth.</summary>
    public sealed class DefectMap
    {
        /// <summary>Views arrays of a number for each pixel, row after row, which are not copied.</summary>
        /// <param name="scores">The heat map.</param>
        /// <param name="mask">0 for a good pixel, else that of a defect.</param>
        /// <param name="width">Pixels a row.</param>
        /// <param name="height">Rows.</param>
        public DefectMap(float[] scores, byte[] mask, int width, int height)
        {
            Scores = Given.Object(scores, nameof(scores));
            Mask = Given.Object(mask, nameof(mask));
            if (width < 1 || height < 1 || (long)width * height != scores.Length || mask.Length != scores.Length)
            {
                throw new ArgumentException(scores.Length + " scores and " + mask.Length + " marks, expected one of each for each of " +
                    width + " × " + height + " pixels");
            }
            Width = width;
            Height = height;
        }

        /// <summary>The heat map.</summary>
        public float[] Scores { get; }

        /// <summary>0 for a good pixel.</summary>
        public byte[] Mask { get; }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }
    }

    /// <summary>What <see cref="Measures.Linear"/> and <see cref="Protocols"/> found; shares are 0 to 1.</summary>
    public sealed class LinearResult
    {
        internal LinearResult(LinearLayout from, double[] recalls)
        {
            AccuracyMean = from.accuracy_mean;
            AccuracyDeviation = from.accuracy_deviation;
            BalancedRecallMean = from.balanced_recall_mean;
            BalancedRecallDeviation = from.balanced_recall_deviation;
            AurocMean = from.auroc_mean;
            AurocDeviation = from.auroc_deviation;
            Recalls = recalls;
        }

        /// <summary>Share of test images with the right class, mean over the splits.</summary>
        public double AccuracyMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double AccuracyDeviation { get; }

        /// <summary>Mean of the classes' recalls, mean over the splits.</summary>
        public double BalancedRecallMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double BalancedRecallDeviation { get; }

        /// <summary>Mean over classes of the AUROC against all others, mean over the splits.</summary>
        public double AurocMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double AurocDeviation { get; }

        /// <summary>The mean recall of each class.</summary>
        public IReadOnlyList<double> Recalls { get; }
    }

    /// <summary>How good scores, heat maps and features are.</summary>
    public static class Measures
    {
        /// <summary>
        /// AUROC: how often a positive image scores higher than a negative one, ties counting half.
        /// </summary>
        /// <param name="scores">The scores.</param>
        /// <param name="positives">0 for a negative, else a positive; one for each score.</param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when there is no positive or no negative, or a score is NaN.
        /// </exception>
        public static unsafe double Auroc(float[] scores, byte[] positives)
        {
            Given.Object(scores, nameof(scores));
            if (Given.Object(positives, nameof(positives)).Length != scores.Length)
            {
                throw new ArgumentException(scores.Length + " scores and " + positives.Length + " positives, expected as many");
            }
            Library.Initialize();
            double value;
            fixed (float* first = scores)
            fixed (byte* truth = positives)
            {
                SeedError.Check(Native.seed_auroc(first, truth, (UIntPtr)(uint)scores.Length, out value));
            }
            return value;
        }

        /// <summary>
        /// PRO, per-region overlap: how much of each defect heat maps cover, whatever the defect's size, as the normalised area under
        /// the curve over false-positive rates up to a limit.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when there is no defect or no good pixel, or a score is NaN.
        /// </exception>
        public static unsafe double RegionOverlap(IReadOnlyCollection<DefectMap> maps, double limit = .3)
        {
            var scores = new List<float>();
            var masks = new List<byte>();
            var widths = new List<uint>();
            var heights = new List<uint>();
            foreach (var map in Given.Object(maps, nameof(maps)))
            {
                scores.AddRange(Given.Object(map, nameof(maps)).Scores);
                masks.AddRange(map.Mask);
                widths.Add((uint)map.Width);
                heights.Add((uint)map.Height);
            }
            Library.Initialize();
            double value;
            fixed (float* first = scores.ToArray())
            fixed (byte* truth = masks.ToArray())
            fixed (uint* across = widths.ToArray(), down = heights.ToArray())
            {
                SeedError.Check(Native.seed_region_overlap(first, truth, across, down, (UIntPtr)(uint)widths.Count, limit, out value));
            }
            return value;
        }

        /// <summary>
        /// The linear protocol: logistic regression on frozen features, over random splits. A third of each class is for testing; of
        /// the others a share is learned from, at least one a class. The splits depend on <paramref name="seed"/> and the labels
        /// alone, so different networks are judged on the same ones.
        /// </summary>
        /// <param name="features">The features.</param>
        /// <param name="labels">Class numbers from 0, −1 for a vector to be left out.</param>
        /// <param name="splits">The number of splits.</param>
        /// <param name="seed">Makes the splits.</param>
        /// <param name="labelFraction">The share that is learned from (1: the linear protocol; .01, .1: few labels).</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public static unsafe LinearResult Linear(Embeddings features, long[] labels, int splits = 5, ulong seed = 0,
            double labelFraction = 1, CancellationToken cancellation = default(CancellationToken))
        {
            Given.Object(features, nameof(features));
            if (Given.Object(labels, nameof(labels)).Length != features.Count)
            {
                throw new ArgumentException(labels.Length + " labels, expected one for each of " + features.Count + " features",
                    nameof(labels));
            }
            var rounds = (uint)Size.Of(splits, nameof(splits));
            var classes = 0;
            foreach (var label in labels)
            {
                // The library refuses what is far too many; an array of them must not be made before.
                if (label >= labels.Length)
                {
                    throw new ArgumentException("a label is " + label + ", expected less than " + labels.Length +
                        ", the number of features", nameof(labels));
                }
                classes = Math.Max(classes, (int)label + 1);
            }
            Library.Initialize();
            var recalls = new double[classes];
            var result = new LinearLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(LinearLayout)) };
            fixed (float* values = features.Values)
            fixed (long* numbers = labels)
            fixed (double* means = recalls)
            {
                IntPtr first = (IntPtr)values, asked = (IntPtr)numbers, found = (IntPtr)means;
                Counted.Run(null, cancellation, (callback, number, cancel) => Native.seed_linear_evaluate((float*)first,
                    (UIntPtr)(uint)features.Count, (UIntPtr)(uint)features.Dim, asked, rounds, seed, labelFraction, cancel, ref result,
                    found, (UIntPtr)(uint)classes));
            }
            return new LinearResult(result, recalls);
        }
    }
}
