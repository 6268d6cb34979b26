using System;
using System.Collections.Generic;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// A network that says which class an image is of, how sure it is, and when it is not. It never changes; any number of threads
    /// may use it at once.
    /// </summary>
    public sealed partial class Classifier : IDisposable
    {
        private const int UsualBytes = 1 << 16;

        private readonly ClassifierHandle handle;

        private Classifier(ClassifierHandle handle)
        {
            this.handle = handle;
        }

        internal ClassifierHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the classifier although nothing failed, such as probabilities that nothing was held
        /// out to calibrate.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_classifier_warnings(Handle, buffer, capacity, out length));

        /// <summary>The names of the classes; a class's number is its place.</summary>
        public IReadOnlyList<string> Classes
        {
            get
            {
                var names = new string[Width];
                for (var i = 0; i < names.Length; i++)
                {
                    var number = (UIntPtr)(uint)i;
                    names[i] = Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                        Native.seed_classifier_class_name(Handle, number, buffer, capacity, out length));
                }
                return names;
            }
        }

        private int Width
        {
            get
            {
                UIntPtr count;
                SeedError.Check(Native.seed_classifier_class_count(Handle, out count));
                return Size.Int(count);
            }
        }

        /// <summary>
        /// What is known about the classifier, a JSON object: "names", "temperature", "threshold", "held_out" (accuracy, recalls,
        /// AUROC, calibration error, coverage and risk of the threshold, confusion matrix; null where no image was held out) and
        /// "training".
        /// </summary>
        public string Description => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_classifier_describe(Handle, buffer, capacity, out length));

        /// <summary>
        /// The confusion matrix of the held-out images as a table of comma-separated values with the classes' names.
        /// </summary>
        public string ConfusionCsv => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_classifier_confusion_csv(Handle, buffer, capacity, out length));

        /// <summary>Opens a file of <see cref="Save"/>. "device" and "precision" come from the configuration.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a file that is damaged, hostile or no classifier's.
        /// </exception>
        public static Classifier Open(string path, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Classifier(SeedHandle.Make<ClassifierHandle>((out IntPtr result) =>
                Native.seed_classifier_open(file, settings, out result)));
        }

        /// <summary>
        /// Writes the classifier to one safetensors file, atomically: network with torchvision's key names, classes, temperature,
        /// threshold and what the held-out images said.
        /// </summary>
        public void Save(string path) =>
            SeedError.Check(Native.seed_classifier_save(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>
        /// Writes the classifier to one ONNX file, operator set 17, for any batch size: "probabilities" (B, K), calibrated; "class"
        /// (B), the most probable one; "confidence" (B), its probability; "unsure" (B), whether that lies below the threshold. The
        /// metadata has the class names, temperature and threshold, how images are made, and the provenance. The file is checked
        /// before it is in place; on an error what stood at the path is as it was. docs/export.md lists inputs, outputs and metadata.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an unknown input and a network that gives NaN;
        /// <see cref="ErrorCode.Unsupported"/> for an operation that cannot be written, naming it, and 2 GB of weights and more;
        /// <see cref="ErrorCode.Io"/>.
        /// </exception>
        public void Export(string path, ExportInput input)
        {
            var file = Text.ToNative(path, nameof(path));
            var options = ExportOptionsLayout.Of(ExportFormat.Onnx, input, ExportOutputs.Embedding);
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_classifier_export(Handle, file, ref options));
            }
        }

        /// <summary>
        /// The confusion matrix of the held-out images: [true class][answered class]. It has no rows where no image was held out.
        /// </summary>
        public ulong[][] Confusion()
        {
            var counts = Filling.Array<ulong>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_classifier_confusion(Handle, buffer, capacity, out length));
            var rows = new ulong[counts.Length == 0 ? 0 : Width][];
            for (var i = 0; i < rows.Length; i++)
            {
                rows[i] = new ulong[rows.Length];
                Array.Copy(counts, i * rows.Length, rows[i], 0, rows.Length);
            }
            return rows;
        }

        /// <summary>Classifies images of any sizes.</summary>
        public unsafe Verdict[] Classify(params Image[] images)
        {
            using (var views = new ImageViews(images))
            using (InFlight.Begin())
            fixed (ImageLayout* first = views.Views)
            {
                var address = (IntPtr)first;
                return Answers(images.Length, (classes, confidences, unsure, probabilities, count) =>
                    SeedError.Check(Native.seed_classifier_classify(Handle, (ImageLayout*)address, count, classes, confidences, unsure,
                        probabilities)));
            }
        }

        /// <summary>
        /// Classifies all images of a data set, in order; a broken one has the class −1, is unsure, and its numbers are 0.
        /// </summary>
        /// <param name="dataset">The images.</param>
        /// <param name="progress">Receives how many images are done, on this thread; what it throws ends the call and is thrown by
        /// this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public Verdict[] Classify(Dataset dataset, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Classify(dataset, call => Counted.Run(progress, cancellation, call));
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the call. When it has ended it there is no result, so
        /// <see cref="ErrorCode.Cancelled"/> is thrown.
        /// </summary>
        public Verdict[] Classify(CancelToken cancel, Dataset dataset, IProgress<CountProgress> progress = null)
        {
            var token = Given.Object(cancel, nameof(cancel)).Handle;
            return Classify(dataset, call => Counted.Run(progress, token, call));
        }

        private Verdict[] Classify(Dataset dataset, Action<Counted.Call> run)
        {
            Given.Object(dataset, nameof(dataset));
            while (true)
            {
                var count = dataset.Count;
                try
                {
                    return Answers(count, (classes, confidences, unsure, probabilities, capacity) =>
                        run((callback, number, cancel) => Native.seed_classifier_classify_dataset(Handle, dataset.Handle, callback,
                            number, cancel, classes, confidences, unsure, probabilities, capacity)));
                }
                catch (SeedException error) when (error.Code == ErrorCode.BufferTooSmall && dataset.Count > count)
                {
                    // Images that were pushed in between are asked for again.
                }
            }
        }

        /// <summary>
        /// How well the classifier does on labelled images that it has not learned from, a JSON object with "images", "accuracy",
        /// "balanced_recall", "recalls", "auroc", "nll", "calibration_error", "selected" (coverage and risk of the threshold) and
        /// "confusion". Labels are as for the fit; broken images are left out.
        /// </summary>
        /// <param name="dataset">The images.</param>
        /// <param name="labels">Their classes.</param>
        /// <param name="progress">Receives how many images are done, on this thread; what it throws ends the call and is thrown by
        /// this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public string Judge(Dataset dataset, long[] labels, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Judge(dataset, labels, call => Counted.Run(progress, cancellation, call));
        }

        /// <summary>As the other, with a token of the library, which works as for a data set's classification.</summary>
        public string Judge(CancelToken cancel, Dataset dataset, long[] labels, IProgress<CountProgress> progress = null)
        {
            var token = Given.Object(cancel, nameof(cancel)).Handle;
            return Judge(dataset, labels, call => Counted.Run(progress, token, call));
        }

        private unsafe string Judge(Dataset dataset, long[] labels, Action<Counted.Call> run)
        {
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            var count = (UIntPtr)(uint)Given.Object(labels, nameof(labels)).Length;
            // Each call embeds the images, so it is not asked for the size first.
            var text = new byte[UsualBytes];
            while (true)
            {
                var length = UIntPtr.Zero;
                fixed (long* first = labels)
                fixed (byte* start = text)
                {
                    IntPtr numbers = (IntPtr)first, buffer = (IntPtr)start;
                    var capacity = (UIntPtr)(uint)text.Length;
                    try
                    {
                        run((callback, number, cancel) => Native.seed_classifier_judge(Handle, images, numbers, count, callback, number,
                            cancel, buffer, capacity, out length));
                        return Text.FromNative(text);
                    }
                    catch (SeedException error) when (error.Code == ErrorCode.BufferTooSmall && (ulong)length > (ulong)text.Length)
                    {
                        // Once more, with a larger one.
                    }
                }
                text = new byte[Size.Int(length)];
            }
        }

        private delegate void Answer(IntPtr classes, IntPtr confidences, IntPtr unsure, IntPtr probabilities, UIntPtr count);

        private unsafe Verdict[] Answers(int count, Answer ask)
        {
            var width = Width;
            var classes = new long[count];
            var confidences = new float[count];
            var unsure = new byte[count];
            var probabilities = new float[checked(count * width)];
            fixed (long* numbers = classes)
            fixed (float* shares = confidences)
            fixed (byte* doubts = unsure)
            fixed (float* all = probabilities)
            {
                ask((IntPtr)numbers, (IntPtr)shares, (IntPtr)doubts, (IntPtr)all, (UIntPtr)(uint)count);
            }
            var answers = new Verdict[count];
            for (var i = 0; i < count; i++)
            {
                var row = new float[width];
                Array.Copy(probabilities, i * width, row, 0, width);
                answers[i] = new Verdict((int)classes[i], confidences[i], unsure[i] != 0, row);
            }
            return answers;
        }

        /// <summary>Releases the classifier.</summary>
        public void Dispose() => handle.Dispose();
    }
}
