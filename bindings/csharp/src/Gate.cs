using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>By how much a new student may be worse than the old; 0 is the default, and null where 0 is a value.</summary>
    public sealed class GateOptions
    {
        /// <summary>Neighbours of overlap and of kNN. Default: 10.</summary>
        public int K { get; set; }

        /// <summary>As it was distilled. Default: 0.2.</summary>
        public double TemperatureStudent { get; set; }

        /// <summary>As it was distilled. Default: 0.01.</summary>
        public double TemperatureTeacher { get; set; }

        /// <summary>Share of the old student's KL that the new one's may be above it. Default: 0.02.</summary>
        public double? KlMargin { get; set; }

        /// <summary>By how much the overlap may be below. Default: 0.02.</summary>
        public double? OverlapMargin { get; set; }

        /// <summary>By how much the balanced recall may be below. Default: 0.02.</summary>
        public double? RecallMargin { get; set; }

        /// <summary>How many times the old latency is allowed. Default: 1.1.</summary>
        public double LatencyFactor { get; set; }

        /// <summary>Of the intervals and the parts of the reference set.</summary>
        public ulong Seed { get; set; }

        internal GateOptionsLayout Layout() => new GateOptionsLayout
        {
            struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(GateOptionsLayout)),
            k = Size.Of(K, nameof(K)),
            temperature_student = TemperatureStudent,
            temperature_teacher = TemperatureTeacher,
            kl_margin = Option.Of(KlMargin),
            overlap_margin = Option.Of(OverlapMargin),
            recall_margin = Option.Of(RecallMargin),
            latency_factor = LatencyFactor,
            seed = Seed,
        };
    }

    internal static class Option
    {
        /// SEED_OPTION_ZERO: the value 0 where 0 is the default.
        internal static double Of(double? value) => value == null ? 0 : value == 0 ? -1 : value.Value;
    }

    /// <summary>One thing that must hold for a new student.</summary>
    public sealed class Criterion
    {
        internal Criterion(CriterionLayout from)
        {
            OldValue = from.old_value;
            NewValue = from.new_value;
            Difference = new Interval(from.difference);
            Limit = from.limit;
            Holds = from.holds != 0;
        }

        /// <summary>Of the old student.</summary>
        public double OldValue { get; }

        /// <summary>Of the new student.</summary>
        public double NewValue { get; }

        /// <summary>New less old, frame by frame.</summary>
        public Interval Difference { get; }

        /// <summary>What the worse bound of the difference must keep to.</summary>
        public double Limit { get; }

        /// <summary>Whether it does.</summary>
        public bool Holds { get; }
    }

    /// <summary>What the gate says.</summary>
    public sealed class GateVerdict
    {
        internal GateVerdict(VerdictLayout from)
        {
            Kl = new Criterion(from.kl);
            Overlap = new Criterion(from.overlap);
            Recall = new Criterion(from.recall);
            Latency = new Criterion(from.latency);
            Passes = from.passes != 0;
            LatencyUnclear = from.latency_unclear != 0;
        }

        /// <summary>Mean KL to the teacher, in nats.</summary>
        public Criterion Kl { get; }

        /// <summary>Mean overlap with the teacher's neighbours.</summary>
        public Criterion Overlap { get; }

        /// <summary>Balanced recall of kNN on the reference set.</summary>
        public Criterion Recall { get; }

        /// <summary>Median time of one frame, in milliseconds; the difference is that of pairs of times.</summary>
        public Criterion Latency { get; }

        /// <summary>Whether all four hold.</summary>
        public bool Passes { get; }

        /// <summary>
        /// Whether the machine was too busy to tell which student is faster: the latency does not hold then, but nothing was shown
        /// either; judge again.
        /// </summary>
        public bool LatencyUnclear { get; }
    }

    /// <summary>Whether a new student may take the old one's place.</summary>
    public static class Gate
    {
        /// <summary>
        /// Compares a new student with the old: on frames, by how well each agrees with the teacher; on a reference set, whose images
        /// have classes, by kNN; and by their latency. All three sessions give embeddings ("output" "embedding") of one width.
        /// Nothing is changed: <see cref="Session.Swap"/> puts the new student in, and the same call puts the old one back.
        /// </summary>
        /// <param name="oldSession">The student in use.</param>
        /// <param name="newSession">The one that may take its place.</param>
        /// <param name="teacher">What both were distilled from.</param>
        /// <param name="frames">Images.</param>
        /// <param name="reference">Images with classes.</param>
        /// <param name="labels">The classes of the reference set.</param>
        /// <param name="options">What is allowed; null: the defaults.</param>
        /// <param name="progress">Receives how many images are embedded, on this thread; what it throws ends the call and is thrown
        /// by this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        /// <exception cref="SeedException"><see cref="ErrorCode.Mismatch"/> for widths that differ.</exception>
        public static unsafe GateVerdict Judge(Session oldSession, Session newSession, Session teacher, Dataset frames, Dataset reference,
            long[] labels, GateOptions options = null, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            SessionHandle old = Given.Object(oldSession, nameof(oldSession)).Handle, fresh = Given.Object(newSession, nameof(newSession)).Handle,
                master = Given.Object(teacher, nameof(teacher)).Handle;
            DatasetHandle shown = Given.Object(frames, nameof(frames)).Handle, known = Given.Object(reference, nameof(reference)).Handle;
            var limits = (options ?? new GateOptions()).Layout();
            var verdict = new VerdictLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(VerdictLayout)) };
            using (InFlight.Begin())
            using (var callback = new Callback<CountProgress>(new WatchingProgress(progress, cancellation)))
            fixed (long* classes = Given.Object(labels, nameof(labels)))
            {
                callback.Settle(SeedError.Take(Native.seed_gate_judge(old, fresh, master, shown, known, classes,
                    (UIntPtr)(uint)labels.Length, ref limits, Callbacks.Counting, callback.Number, ref verdict)));
            }
            return new GateVerdict(verdict);
        }
    }
}
