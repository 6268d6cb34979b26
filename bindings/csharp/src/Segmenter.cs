using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>The classes of an image's pixels.</summary>
    public sealed class Segmented
    {
        internal Segmented(byte[] classes, float[] confidences, int width, int height)
        {
            Classes = classes;
            Confidences = confidences;
            Width = width;
            Height = height;
        }

        /// <summary>A class number for each of the image's own pixels, row after row.</summary>
        public byte[] Classes { get; }

        /// <summary>The probabilities of these classes.</summary>
        public float[] Confidences { get; }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }
    }

    /// <summary>What <see cref="Segmenter.Evaluate"/> found; shares are 0 to 1.</summary>
    public sealed class SegmentationResult
    {
        internal SegmentationResult(SegmentationLayout from, double[] ious)
        {
            MeanIouMean = from.mean_iou_mean;
            MeanIouDeviation = from.mean_iou_deviation;
            AccuracyMean = from.accuracy_mean;
            AccuracyDeviation = from.accuracy_deviation;
            Ious = ious;
        }

        /// <summary>Mean IoU over the classes that occur, mean over the splits.</summary>
        public double MeanIouMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double MeanIouDeviation { get; }

        /// <summary>Share of the test frames' pixels that got their class, mean over the splits.</summary>
        public double AccuracyMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double AccuracyDeviation { get; }

        /// <summary>The mean IoU of each class; NaN for one that neither masks nor predictions have.</summary>
        public IReadOnlyList<double> Ious { get; }
    }

    /// <summary>
    /// A linear layer on a student's feature maps that says which class each pixel of an image has. It never changes; any number of
    /// threads may use it at once.
    /// </summary>
    public sealed class Segmenter : IDisposable
    {
        /// <summary>The class of a mask's pixel that is ignored.</summary>
        public const byte Ignored = 255;

        private readonly SegmenterHandle handle;

        private Segmenter(SegmenterHandle handle)
        {
            this.handle = handle;
        }

        internal SegmenterHandle Handle => handle.Alive(this);

        /// <summary>What you should know although nothing failed, such as classes without a pixel to learn from.</summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_segmenter_warnings(Handle, buffer, capacity, out length));

        /// <summary>The number of classes, including the background.</summary>
        public int ClassCount
        {
            get
            {
                UIntPtr count;
                SeedError.Check(Native.seed_segmenter_class_count(Handle, out count));
                return (int)count;
            }
        }

        /// <summary>What is known, a JSON object: "names", "layers", "training", "provenance" and "computes".</summary>
        public string Description => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_segmenter_describe(Handle, buffer, capacity, out length));

        /// <summary>
        /// Learns from the images that have a mask, on the feature maps of a copy of a student's backbone, by the settings "segment.…",
        /// "seed", "device" and "precision"; docs/segment.md says how.
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images.</param>
        /// <param name="masks">A mask for each of them, of its size, with a class number or <see cref="Ignored"/> a pixel
        /// (<see cref="PixelFormat.Mono8"/>); null for none.</param>
        /// <param name="names">The classes' names; class 0 is the background.</param>
        /// <param name="progress">Receives how many images are done, on this thread; what it throws ends the fit and is thrown by this
        /// method.</param>
        /// <param name="cancellation">Ends the fit.</param>
        /// <exception cref="OperationCanceledException">The token ended the fit.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for masks or names that do not fit, masks of one class, or an unknown feature map;
        /// <see cref="ErrorCode.Unsupported"/> when the backbone has none; <see cref="ErrorCode.Mismatch"/> for a student that gives NaN.
        /// </exception>
        public static unsafe Segmenter Fit(Config config, Student student, Dataset images, Image?[] masks, IReadOnlyCollection<string> names,
            IProgress<CountProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            SegmenterHandle made = null;
            try
            {
                using (var texts = new TextArray(names, nameof(names)))
                using (var views = new MaskViews(masks))
                fixed (ImageLayout* first = views.All)
                {
                    // A lambda cannot hold what is fixed, but its address.
                    var address = (IntPtr)first;
                    Counted.Run(progress, cancellation, (callback, number, cancel) =>
                    {
                        var error = IntPtr.Zero;
                        made = SeedHandle.MakeOr<SegmenterHandle>((out IntPtr result) => error = Native.seed_segmenter_fit(settings,
                            network, frames, (ImageLayout*)address, views.Count, texts.Pointers, texts.Count, callback, number, cancel,
                            out result));
                        return error;
                    });
                }
            }
            catch
            {
                made?.Dispose();
                throw;
            }
            return new Segmenter(made);
        }

        /// <summary>
        /// How good a student's feature maps are for segmentation: a segmenter learns from a part of the masks, at most
        /// "segment.masks_per_class" of a class, and is judged on the others, over splits of the seeds from "seed" on.
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images.</param>
        /// <param name="masks">As for the fit.</param>
        /// <param name="classes">The number of classes that the masks have, 1 to 255.</param>
        /// <param name="splits">The number of splits.</param>
        /// <param name="progress">As for the fit.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public static unsafe SegmentationResult Evaluate(Config config, Student student, Dataset images, Image?[] masks, int classes,
            int splits = 5, IProgress<CountProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            var rounds = (uint)Size.Of(splits, nameof(splits));
            var ious = new double[Most(classes)];
            var result = new SegmentationLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(SegmentationLayout)) };
            using (var views = new MaskViews(masks))
            fixed (ImageLayout* first = views.All)
            fixed (double* means = ious)
            {
                IntPtr address = (IntPtr)first, found = (IntPtr)means;
                Counted.Run(progress, cancellation, (callback, number, cancel) => Native.seed_segmentation_evaluate(settings, network,
                    frames, (ImageLayout*)address, views.Count, (UIntPtr)(uint)classes, rounds, callback, number, cancel, ref result,
                    found));
            }
            return new SegmentationResult(result, ious);
        }

        /// <summary>Opens a file of <see cref="Save"/>. "device" and "precision" come from the configuration.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a file that is damaged, hostile or no segmenter's.
        /// </exception>
        public static Segmenter Open(string path, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Segmenter(SeedHandle.Make<SegmenterHandle>((out IntPtr result) =>
                Native.seed_segmenter_open(file, settings, out result)));
        }

        /// <summary>Writes the segmenter to one safetensors file, atomically.</summary>
        public void Save(string path) => SeedError.Check(Native.seed_segmenter_save(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>The class of each pixel of an image.</summary>
        public unsafe Segmented Segment(Image image)
        {
            using (var views = new ImageViews(image))
            {
                // Each call computes, so it is not asked for the size, which is known.
                var classes = new byte[checked(image.Width * image.Height)];
                var confidences = new float[classes.Length];
                using (InFlight.Begin())
                fixed (ImageLayout* first = views.Views)
                fixed (byte* all = classes)
                fixed (float* shares = confidences)
                {
                    UIntPtr length;
                    SeedError.Check(Native.seed_segmenter_segment(Handle, first, (IntPtr)all, (UIntPtr)(uint)classes.Length, out length,
                        (IntPtr)shares));
                }
                return new Segmented(classes, confidences, image.Width, image.Height);
            }
        }

        /// <summary>
        /// Intersection over union of pixels with classes below a number: the mean over the classes that occur. True pixels of
        /// <see cref="Ignored"/> count for nothing.
        /// </summary>
        /// <param name="predicted">The predicted classes.</param>
        /// <param name="truth">The true ones, as many.</param>
        /// <param name="classes">The number of classes, 1 to 255.</param>
        /// <param name="ious">Receives that of each class; NaN for one that neither has.</param>
        public static unsafe double Overlap(byte[] predicted, byte[] truth, int classes, out double[] ious)
        {
            if (Given.Object(predicted, nameof(predicted)).Length != Given.Object(truth, nameof(truth)).Length)
            {
                throw new ArgumentException(predicted.Length + " predicted pixels for " + truth.Length + " true ones", nameof(predicted));
            }
            ious = new double[Most(classes)];
            double mean;
            fixed (byte* given = predicted, wanted = truth)
            fixed (double* all = ious)
            {
                SeedError.Check(Native.seed_mask_overlap(given, wanted, (UIntPtr)(uint)truth.Length, (UIntPtr)(uint)classes, (IntPtr)all,
                    out mean));
            }
            return mean;
        }

        /// <summary>Releases the segmenter.</summary>
        public void Dispose() => handle.Dispose();

        private static int Most(int classes)
        {
            if (classes < 1 || classes > 255)
            {
                throw new ArgumentOutOfRangeException(nameof(classes), classes, "expected 1 to 255 classes");
            }
            return classes;
        }

        // Views of masks, of which null is none.
        private sealed class MaskViews : IDisposable
        {
            internal readonly ImageLayout[] All;
            private readonly ImageViews views;

            internal MaskViews(Image?[] masks)
            {
                var given = Given.Object(masks, nameof(masks)).Where(mask => mask.HasValue).Select(mask => mask.Value).ToArray();
                views = new ImageViews(given);
                // One place at least, so that there is an address.
                All = new ImageLayout[Math.Max(1, masks.Length)];
                Count = (UIntPtr)(uint)masks.Length;
                for (int i = 0, next = 0; i < masks.Length; i++)
                {
                    if (masks[i].HasValue)
                    {
                        All[i] = views.Views[next++];
                    }
                }
            }

            internal UIntPtr Count { get; }

            public void Dispose() => views.Dispose();
        }
    }
}
