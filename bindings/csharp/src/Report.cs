using System;
using System.Collections.Generic;

namespace LibSeed
{
    /// <summary>
    /// A report that grows from top to bottom and becomes one HTML file, with nothing outside it. For one thread at a time.
    /// </summary>
    public sealed partial class Report : IDisposable
    {
        private readonly ReportHandle handle;

        /// <summary>Makes an empty report.</summary>
        public Report(string title)
        {
            var text = Text.ToNative(title, nameof(title));
            handle = SeedHandle.Make<ReportHandle>((out IntPtr result) => Native.seed_report_new(text, out result));
        }

        internal ReportHandle Handle => handle.Alive(this);

        /// <summary>Adds a paragraph of plain text.</summary>
        public void AddParagraph(string paragraph) =>
            SeedError.Check(Native.seed_report_add_paragraph(Handle, Text.ToNative(paragraph, nameof(paragraph))));

        /// <summary>Adds a heading between parts.</summary>
        public void AddHeading(string heading) =>
            SeedError.Check(Native.seed_report_add_heading(Handle, Text.ToNative(heading, nameof(heading))));

        /// <summary>Adds a table; each row has as many cells as there are heads.</summary>
        public void AddTable(string title, string[] heads, params string[][] rows)
        {
            var text = Text.ToNative(title, nameof(title));
            var cells = new List<string>();
            foreach (var row in Given.Object(rows, nameof(rows)))
            {
                if (Given.Object(row, nameof(rows)).Length != Given.Object(heads, nameof(heads)).Length)
                {
                    throw new ArgumentException("a row has " + row.Length + " cells, expected " + heads.Length, nameof(rows));
                }
                cells.AddRange(row);
            }
            using (var head = new TextArray(heads, nameof(heads)))
            using (var body = new TextArray(cells, nameof(rows)))
            {
                SeedError.Check(Native.seed_report_add_table(Handle, text, head.Pointers, head.Count, body.Pointers,
                    (UIntPtr)(uint)rows.Length));
            }
        }

        /// <summary>Adds a point to a series of a chart; chart and series stand where they were first named.</summary>
        public void AddPoint(string chart, string xLabel, string yLabel, string series, double x, double y)
        {
            SeedError.Check(Native.seed_report_add_point(Handle, Text.ToNative(chart, nameof(chart)),
                Text.ToNative(xLabel, nameof(xLabel)), Text.ToNative(yLabel, nameof(yLabel)),
                Text.ToNative(series, nameof(series)), x, y));
        }

        /// <summary>
        /// Adds a sheet of pictures: for each query its nearest by two networks, side by side; what both found is marked.
        /// </summary>
        /// <param name="title">The sheet's title.</param>
        /// <param name="dataset">The images.</param>
        /// <param name="queries">Numbers of images of the data set.</param>
        /// <param name="leftName">The first network's name.</param>
        /// <param name="left">
        /// For each query its nearest, as <see cref="Evaluation.Neighbours(Embeddings, int)"/> gives them.
        /// </param>
        /// <param name="rightName">The second network's name.</param>
        /// <param name="right">As <paramref name="left"/>, by the second network.</param>
        public unsafe void AddNeighbours(string title, Dataset dataset, uint[] queries, string leftName, uint[][] left,
            string rightName, uint[][] right)
        {
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            var count = Given.Object(queries, nameof(queries)).Length;
            var k = Given.Object(left, nameof(left)).Length > 0 ? Given.Object(left[0], nameof(left)).Length : 0;
            fixed (uint* numbers = queries)
            {
                fixed (uint* first = Flat(left, count, k, nameof(left)))
                {
                    fixed (uint* second = Flat(right, count, k, nameof(right)))
                    {
                        SeedError.Check(Native.seed_report_add_neighbours(Handle, Text.ToNative(title, nameof(title)), images,
                            numbers, (UIntPtr)(uint)count, (UIntPtr)(uint)k, Text.ToNative(leftName, nameof(leftName)), first,
                            Text.ToNative(rightName, nameof(rightName)), second));
                    }
                }
            }
        }

        private static uint[] Flat(uint[][] rows, int count, int k, string name)
        {
            if (Given.Object(rows, name).Length != count)
            {
                throw new ArgumentException(rows.Length + " rows of neighbours, expected one for each of " + count +
                    " queries", name);
            }
            var flat = new List<uint>();
            foreach (var row in rows)
            {
                if (Given.Object(row, name).Length != k)
                {
                    throw new ArgumentException("a row has " + row.Length + " neighbours and the first one " + k, name);
                }
                flat.AddRange(row);
            }
            return flat.ToArray();
        }

        /// <summary>
        /// Adds the confusion matrix of a classifier's held-out images: true class by row, answered class by column, with counts, shares of
        /// the row, recall and precision.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when no image was held out.
        /// </exception>
        public void AddConfusion(string title, Classifier classifier) => SeedError.Check(Native.seed_report_add_confusion(Handle,
            Text.ToNative(title, nameof(title)), Given.Object(classifier, nameof(classifier)).Handle));

        /// <summary>Writes the report to an HTML file, atomically. More may be added and written again.</summary>
        public void Write(string path) =>
            SeedError.Check(Native.seed_report_write(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>Releases the report.</summary>
        public void Dispose() => handle.Dispose();
    }
}
