using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What a sheet of pictures of each class shows besides the classes.</summary>
    public sealed class ClassSheet
    {
        /// <summary>
        /// One row for each image: the most typical and the most unusual images are shown. Null: some at even distances.
        /// </summary>
        public Embeddings Embeddings { get; set; }

        /// <summary>A classifier's answers, -1 for none: what it took for another class is shown. Null: none.</summary>
        public long[] Answers { get; set; }

        /// <summary>The answers' probabilities: the surest mistakes come first. May be null.</summary>
        public float[] Confidences { get; set; }

        /// <summary>Pictures in each column.</summary>
        public int PerClass { get; set; } = 6;
    }

    /// <summary>How embeddings come onto a plane.</summary>
    public enum MapMethod
    {
        /// <summary>The two principal components.</summary>
        Pca = 1,
        /// <summary>t-SNE: who is near whom.</summary>
        Tsne = 2,
    }

    /// <summary>How embeddings come onto a plane; 0 is the default.</summary>
    public sealed class MapOptions
    {
        /// <summary>
        /// Points that are drawn, at most 5000; of more embeddings a random part, of the largest classes least. Default: 2000.
        /// </summary>
        public int MaxPoints { get; set; }

        /// <summary>About how many neighbours count, of t-SNE, 1 to 1000. Default: 30.</summary>
        public double Perplexity { get; set; }

        /// <summary>Of the random part.</summary>
        public ulong Seed { get; set; }

        /// <summary>How.</summary>
        public MapMethod Method { get; set; } = MapMethod.Tsne;

        internal MapOptionsLayout Layout() => new MapOptionsLayout
        {
            struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(MapOptionsLayout)),
            max_points = Size.Of(MaxPoints, nameof(MaxPoints)),
            perplexity = Perplexity,
            seed = Seed,
            method = (int)Method,
        };
    }

    public sealed partial class Report
    {
        /// <summary>Adds a sheet of pictures of each class. Broken images are passed over.</summary>
        /// <param name="title">The sheet's title.</param>
        /// <param name="images">The images.</param>
        /// <param name="labels">The class of each, -1 for none.</param>
        /// <param name="classes">The classes' names.</param>
        /// <param name="sheet">What else is shown; null: nothing.</param>
        public unsafe void AddClassSheet(string title, Dataset images, long[] labels, IReadOnlyCollection<string> classes,
            ClassSheet sheet = null)
        {
            sheet = sheet ?? new ClassSheet();
            var count = Given.Object(labels, nameof(labels)).Length;
            Same(sheet.Embeddings?.Count, count, nameof(sheet.Embeddings));
            Same(sheet.Answers?.Length, count, nameof(sheet.Answers));
            Same(sheet.Confidences?.Length, count, nameof(sheet.Confidences));
            var frames = Given.Object(images, nameof(images)).Handle;
            var dim = sheet.Embeddings == null ? 0 : sheet.Embeddings.Dim;
            var perClass = Size.Of(sheet.PerClass, nameof(sheet.PerClass));
            using (var names = new TextArray(classes, nameof(classes)))
            using (InFlight.Begin())
            fixed (long* numbers = labels)
            fixed (long* answers = sheet.Answers)
            fixed (float* rows = sheet.Embeddings?.Values)
            fixed (float* confidences = sheet.Confidences)
            {
                SeedError.Check(Native.seed_report_add_class_sheet(Handle, Text.ToNative(title, nameof(title)), frames,
                    (IntPtr)numbers, (UIntPtr)(uint)count, names.Pointers, names.Count, rows, (UIntPtr)(uint)dim, (IntPtr)answers,
                    confidences, perClass));
            }
        }

        /// <summary>
        /// Adds the confusion matrix of any answers: <paramref name="labels"/> are the true classes, <paramref name="answers"/> what
        /// was said, -1 for none in both.
        /// </summary>
        public unsafe void AddConfusion(string title, long[] labels, long[] answers, IReadOnlyCollection<string> classes)
        {
            var count = Given.Object(labels, nameof(labels)).Length;
            Same(Given.Object(answers, nameof(answers)).Length, count, nameof(answers));
            using (var names = new TextArray(classes, nameof(classes)))
            fixed (long* truth = labels)
            fixed (long* said = answers)
            {
                SeedError.Check(Native.seed_report_add_confusion_of(Handle, Text.ToNative(title, nameof(title)), (IntPtr)truth,
                    (IntPtr)said, (UIntPtr)(uint)count, names.Pointers, names.Count));
            }
        }

        /// <summary>
        /// Adds a map of embeddings: a point for each image, coloured by its class, with its name where the pointer rests. The same
        /// embeddings give the same map.
        /// </summary>
        /// <param name="title">The map's title.</param>
        /// <param name="embeddings">One row for each image.</param>
        /// <param name="labels">The class of each, -1 for none; null: no classes.</param>
        /// <param name="classes">The classes' names; null with the labels.</param>
        /// <param name="images">The images, whose names are shown; null: points are numbered.</param>
        /// <param name="options">How; null: t-SNE of at most 2000 points.</param>
        public unsafe void AddMap(string title, Embeddings embeddings, long[] labels = null,
            IReadOnlyCollection<string> classes = null, Dataset images = null, MapOptions options = null)
        {
            var count = Given.Object(embeddings, nameof(embeddings)).Count;
            Same(labels?.Length, count, nameof(labels));
            var layout = (options ?? new MapOptions()).Layout();
            var frames = images == null ? DatasetHandle.None : images.Handle;
            using (var names = new TextArray(classes ?? new string[0], nameof(classes)))
            using (InFlight.Begin())
            fixed (float* rows = embeddings.Values)
            fixed (long* numbers = labels)
            {
                SeedError.Check(Native.seed_report_add_map(Handle, Text.ToNative(title, nameof(title)), rows, (UIntPtr)(uint)count,
                    (UIntPtr)(uint)embeddings.Dim, (IntPtr)numbers, names.Pointers, names.Count, frames, ref layout));
            }
        }

        /// <summary>
        /// Adds a frame and its heat map to the sheet of that title, which stands where it was first named; all of a sheet share one
        /// scale of colours.
        /// </summary>
        /// <param name="sheet">The sheet's title.</param>
        /// <param name="caption">Stands below.</param>
        /// <param name="image">The frame.</param>
        /// <param name="map">That of <see cref="Anomaly.Map"/> for the frame.</param>
        /// <param name="threshold">The detector's; NaN: none.</param>
        /// <param name="mask">Not 0 for each pixel where the defect really is; null: not known.</param>
        public unsafe void AddHeatMap(string sheet, string caption, Image image, AnomalyMap map, float threshold = float.NaN,
            byte[] mask = null)
        {
            var pixels = Given.Object(map, nameof(map)).Distances.Length;
            Same(mask?.Length, pixels, nameof(mask));
            using (var views = new ImageViews(image))
            fixed (ImageLayout* first = views.Views)
            fixed (float* distances = map.Distances)
            fixed (byte* marks = mask)
            {
                SeedError.Check(Native.seed_report_add_heat_map(Handle, Text.ToNative(sheet, nameof(sheet)),
                    Text.ToNative(caption, nameof(caption)), first, distances, marks, (UIntPtr)(uint)pixels, map.Score, threshold));
            }
        }

        // What is given must be as many as C will read.
        private static void Same(int? found, int expected, string name)
        {
            if (found.HasValue && found != expected)
            {
                throw new ArgumentException("there are " + found + ", expected " + expected, name);
            }
        }
    }
}
