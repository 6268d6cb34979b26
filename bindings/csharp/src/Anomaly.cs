using System;
using System.Collections.Generic;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// How far an image is from all good parts. Scores have no unit: compare those of one detector only.
    /// </summary>
    public class AnomalyScore
    {
        internal AnomalyScore(float score, bool alarm)
        {
            Score = score;
            IsAlarm = alarm;
        }

        /// <summary>The distance.</summary>
        public float Score { get; }

        /// <summary>Whether it is above the detector's threshold.</summary>
        public bool IsAlarm { get; }
    }

    /// <summary>Where an image is far from all good parts.</summary>
    public sealed class AnomalyMap : AnomalyScore
    {
        internal AnomalyMap(float score, bool alarm, float[] distances, int width, int height) : base(score, alarm)
        {
            Distances = distances;
            Width = width;
            Height = height;
        }

        /// <summary>One for each of the image's own pixels, row after row.</summary>
        public float[] Distances { get; }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>Paints the map over the image that it is of, as the report shows it.</summary>
        /// <param name="image">The image.</param>
        /// <param name="low">A distance that leaves a pixel as it is; NaN: the map's lowest.</param>
        /// <param name="high">A distance that gives a pixel the darkest colour; NaN: the map's highest.</param>
        public unsafe Picture Paint(Image image, float low = float.NaN, float high = float.NaN)
        {
            using (var views = new ImageViews(image))
            using (InFlight.Begin())
            fixed (float* all = Distances)
            {
                var view = default(ImageLayout);
                // A lambda cannot hold what is fixed, but its address.
                var address = (IntPtr)all;
                return new Picture(Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_heat_map_picture(ref views.Views[0], (float*)address, (UIntPtr)(uint)Distances.Length, low, high,
                        ref view, buffer, capacity, out length)), view);
            }
        }
    }

    /// <summary>
    /// A memory of good parts that says how far an image is from all of them, and where. Any number of threads may use it at once,
    /// <see cref="Add(Config, Dataset, IProgress{CountProgress}, CancellationToken)"/> among them.
    /// </summary>
    public sealed class Anomaly : IDisposable
    {
        private readonly AnomalyHandle handle;

        private Anomaly(AnomalyHandle handle)
        {
            this.handle = handle;
        }

        internal AnomalyHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the detector although nothing failed, such as a threshold that no held-out image
        /// has set.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_anomaly_warnings(Handle, buffer, capacity, out length));

        /// <summary>
        /// The score above which an image is an alarm; where no part was held out it comes of the learned images themselves, and
        /// <see cref="Warnings"/> says so.
        /// </summary>
        public float Threshold
        {
            get
            {
                float threshold;
                double rate;
                SeedError.Check(Native.seed_anomaly_threshold(Handle, out threshold, out rate));
                return threshold;
            }
        }

        /// <summary>
        /// The false-alarm rate that <see cref="Threshold"/> keeps on good parts: the one that was asked for, or 1/(n + 1) where n
        /// held-out groups of images ("anomaly.group") are too few for it, with "anomaly.confidence" c 1 - (1 - c)^(1/n); NaN where none
        /// was held out.
        /// </summary>
        public double FalseAlarmRate
        {
            get
            {
                float threshold;
                double rate;
                SeedError.Check(Native.seed_anomaly_threshold(Handle, out threshold, out rate));
                return rate;
            }
        }

        /// <summary>
        /// What is known about the detector, a JSON object: "settings", "patches" and "patch_dim" of the memory, "held_out" and
        /// "held_out_groups" (how many images and groups of images), "threshold" and "rate" (null where none was held out).
        /// </summary>
        public string Description => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_anomaly_describe(Handle, buffer, capacity, out length));

        /// <summary>
        /// Learns images that are all of good parts, by the features of a student and the settings "anomaly.…", "seed", "device" and
        /// "precision"; docs/anomaly.md says how. A part of the images, "anomaly.held_out", is not learned but sets the threshold
        /// for "anomaly.false_alarm_rate"; where several images show the same part, say so by "anomaly.group". Broken images are left
        /// out. With "anomaly.checkpoint_path" the kind stfpm goes on where it was ended.
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="good">The images.</param>
        /// <param name="progress">Receives how many images are done, on this thread; what it throws ends the fit and is thrown by
        /// this method.</param>
        /// <param name="cancellation">Ends the fit.</param>
        /// <exception cref="OperationCanceledException">The token ended the fit.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> or <see cref="ErrorCode.Format"/> when there is no sound image; <see cref="ErrorCode.InvalidArgument"/> for one group of images only, or a feature map is unknown;
        /// <see cref="ErrorCode.Unsupported"/> when the backbone has none; <see cref="ErrorCode.Mismatch"/> and
        /// <see cref="ErrorCode.Format"/> when the checkpoint is of another run or damaged.
        /// </exception>
        public static Anomaly Fit(Config config, Student student, Dataset good, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Fit(config, student, good, call => Counted.Run(progress, cancellation, call));
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the fit. When it has ended it there is no detector, so
        /// <see cref="ErrorCode.Cancelled"/> is thrown.
        /// </summary>
        public static Anomaly Fit(CancelToken cancel, Config config, Student student, Dataset good,
            IProgress<CountProgress> progress = null)
        {
            var token = Given.Object(cancel, nameof(cancel)).Handle;
            return Fit(config, student, good, call => Counted.Run(progress, token, call));
        }

        private static Anomaly Fit(Config config, Student student, Dataset good, Action<Counted.Call> run)
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var network = Given.Object(student, nameof(student)).Handle;
            var images = Given.Object(good, nameof(good)).Handle;
            AnomalyHandle made = null;
            try
            {
                run((callback, number, cancel) =>
                {
                    var error = IntPtr.Zero;
                    made = SeedHandle.MakeOr<AnomalyHandle>((out IntPtr result) => error = Native.seed_anomaly_fit(settings, network,
                        images, callback, number, cancel, out result));
                    return error;
                });
            }
            catch
            {
                made?.Dispose();
                throw;
            }
            return new Anomaly(made);
        }

        /// <summary>Opens a file of <see cref="Save"/>. "device" and "precision" come from the configuration.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a file that is damaged, hostile or no detector's.
        /// </exception>
        public static Anomaly Open(string path, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Anomaly(SeedHandle.Make<AnomalyHandle>((out IntPtr result) =>
                Native.seed_anomaly_open(file, settings, out result)));
        }

        /// <summary>
        /// Learns further images of good parts, while the detector goes on judging: the memory grows by what it does not cover, up to
        /// its "anomaly.memory_max", and "anomaly.held_out" of the images join those that set the threshold. Calls under way end with
        /// what they began with. On an exception nothing has changed. Parameters and exceptions are those of the fit.
        /// </summary>
        public void Add(Config config, Dataset good, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            Add(config, good, call => Counted.Run(progress, cancellation, call));
        }

        /// <summary>As the other, with a token of the library, which works as for the fit.</summary>
        public void Add(CancelToken cancel, Config config, Dataset good, IProgress<CountProgress> progress = null)
        {
            var token = Given.Object(cancel, nameof(cancel)).Handle;
            Add(config, good, call => Counted.Run(progress, token, call));
        }

        private void Add(Config config, Dataset good, Action<Counted.Call> run)
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var images = Given.Object(good, nameof(good)).Handle;
            run((callback, number, cancel) => Native.seed_anomaly_add(Handle, settings, images, callback, number, cancel));
        }

        /// <summary>
        /// Writes the detector to one safetensors file, atomically: backbone, memory, held-out scores and settings.
        /// </summary>
        public void Save(string path) => SeedError.Check(Native.seed_anomaly_save(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>
        /// Writes the detector as it is now to one ONNX file, operator set 17, for any batch size: "score" (B); "alarm" (B), whether
        /// it lies above the threshold; "map" (B, H, W), the heat map in the pixels of the resized image. The metadata has settings,
        /// threshold, how images are made, how the map belongs to a frame, and the provenance. The file is checked before it is in
        /// place; on an error what stood at the path is as it was. docs/export.md lists inputs, outputs and metadata.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an unknown input; <see cref="ErrorCode.Mismatch"/> for a network that gives NaN;
        /// <see cref="ErrorCode.Unsupported"/> for an operation that cannot be written, naming it, and 2 GB of weights and more;
        /// <see cref="ErrorCode.Io"/>.
        /// </exception>
        public void Export(string path, ExportInput input)
        {
            var file = Text.ToNative(path, nameof(path));
            var options = ExportOptionsLayout.Of(ExportFormat.Onnx, input, ExportOutputs.Embedding);
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_anomaly_export(Handle, file, ref options));
            }
        }

        /// <summary>Scores images of any sizes.</summary>
        public unsafe AnomalyScore[] Scores(params Image[] images)
        {
            using (var views = new ImageViews(images))
            {
                var scores = new float[images.Length];
                var alarms = new byte[images.Length];
                using (InFlight.Begin())
                fixed (ImageLayout* first = views.Views)
                fixed (float* distances = scores)
                fixed (byte* raised = alarms)
                {
                    SeedError.Check(Native.seed_anomaly_score(Handle, first, views.Count, distances, raised));
                }
                var found = new AnomalyScore[images.Length];
                for (var i = 0; i < found.Length; i++)
                {
                    found[i] = new AnomalyScore(scores[i], alarms[i] != 0);
                }
                return found;
            }
        }

        /// <summary>The heat map of an image, in its own pixels.</summary>
        public unsafe AnomalyMap Map(Image image)
        {
            using (var views = new ImageViews(image))
            {
                // Each call computes, so it is not asked for the size, which is known.
                var distances = new float[checked(image.Width * image.Height)];
                float score;
                byte alarm;
                using (InFlight.Begin())
                fixed (ImageLayout* first = views.Views)
                fixed (float* all = distances)
                {
                    UIntPtr length;
                    SeedError.Check(Native.seed_anomaly_map(Handle, first, (IntPtr)all, (UIntPtr)(uint)distances.Length, out length,
                        &score, &alarm));
                }
                return new AnomalyMap(score, alarm != 0, distances, image.Width, image.Height);
            }
        }

        /// <summary>Releases the detector.</summary>
        public void Dispose() => handle.Dispose();
    }
}
