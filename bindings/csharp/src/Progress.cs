using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// One report of a run. The first comes before the first step: its <see cref="Loss"/> is NaN and its <see cref="TimeLeft"/>
    /// <see cref="TimeSpan.MaxValue"/>.
    /// </summary>
    public sealed class TrainingProgress
    {
        private TrainingProgress(ProgressLayout from)
        {
            Step = (long)from.step;
            TotalSteps = (long)from.total_steps;
            Epoch = (long)from.epoch;
            SkippedImages = (long)from.skipped_images;
            Loss = from.loss;
            LearningRate = from.learning_rate;
            ImagesPerSecond = from.images_per_second;
            TimeLeft = Seconds.Of(from.eta_seconds);
            Elapsed = Seconds.Of(from.elapsed_seconds);
            WaitingShare = from.waiting_share;
            ProbeAgreement = from.probe_agreement;
            ProbeAgreementStart = from.probe_agreement_start;
            ProbeAgreementBest = from.probe_agreement_best;
            ProbeRecall = from.probe_recall;
            ProbeStep = (long)from.probe_step;
        }

        /// <summary>Steps made since the very first start, resumed runs included.</summary>
        public long Step { get; }

        /// <summary>Steps of the whole run.</summary>
        public long TotalSteps { get; }

        /// <summary>Epoch of the next image, from 0.</summary>
        public long Epoch { get; }

        /// <summary>Images that could not be read so far.</summary>
        public long SkippedImages { get; }

        /// <summary>Mean loss since the report before.</summary>
        public double Loss { get; }

        /// <summary>Learning rate of the last step: the setting learning_rate·batch_size/256 at its highest.</summary>
        public double LearningRate { get; }

        /// <summary>Images a second since the report before.</summary>
        public double ImagesPerSecond { get; }

        /// <summary>Estimated time to the last step of the whole run.</summary>
        public TimeSpan TimeLeft { get; }

        /// <summary>Time since the call began.</summary>
        public TimeSpan Elapsed { get; }

        /// <summary>Share of the time since the report before in which the step waited for images, 0 to 1.</summary>
        public double WaitingShare { get; }

        /// <summary>
        /// Share of the teacher's ten nearest frames that are the student's too, over the frames of the run's probe
        /// ("probe.images"), at the last look. NaN where the run is not probed.
        /// </summary>
        public double ProbeAgreement { get; }

        /// <summary>The same at the first look.</summary>
        public double ProbeAgreementStart { get; }

        /// <summary>The same of the best look so far.</summary>
        public double ProbeAgreementBest { get; }

        /// <summary>
        /// Balanced 10-NN recall over these frames by the classes of their folders, at the last look. NaN without classes.
        /// </summary>
        public double ProbeRecall { get; }

        /// <summary>Steps made before the last look.</summary>
        public long ProbeStep { get; }

        internal static TrainingProgress From(IntPtr progress) => new TrainingProgress(Reported.As<ProgressLayout>(progress));
    }

    /// <summary>One report of the filling of a bank.</summary>
    public sealed class BankProgress
    {
        private BankProgress(BankProgressLayout from)
        {
            Rows = (long)from.rows;
            TotalRows = (long)from.total_rows;
            SkippedImages = (long)from.skipped_images;
            RowsPerSecond = from.rows_per_second;
            TimeLeft = Seconds.Of(from.eta_seconds);
            Elapsed = Seconds.Of(from.elapsed_seconds);
            WaitingShare = from.waiting_share;
        }

        /// <summary>Rows that are finished, of earlier calls too.</summary>
        public long Rows { get; }

        /// <summary>Rows of the whole bank: views times images.</summary>
        public long TotalRows { get; }

        /// <summary>Images that could not be read so far.</summary>
        public long SkippedImages { get; }

        /// <summary>Rows a second since the report before.</summary>
        public double RowsPerSecond { get; }

        /// <summary>Estimated time to the last row.</summary>
        public TimeSpan TimeLeft { get; }

        /// <summary>Time since the call began.</summary>
        public TimeSpan Elapsed { get; }

        /// <summary>Share of the time since the report before in which the teacher waited for images, 0 to 1.</summary>
        public double WaitingShare { get; }

        internal static BankProgress From(IntPtr progress) => new BankProgress(Reported.As<BankProgressLayout>(progress));
    }

    /// <summary>How many images of how many are done.</summary>
    public sealed class CountProgress
    {
        internal CountProgress(long done, long total)
        {
            Done = done;
            Total = total;
        }

        /// <summary>Images that are done.</summary>
        public long Done { get; }

        /// <summary>All images of the call.</summary>
        public long Total { get; }
    }

    /// <summary>
    /// Calls a function for every report, at once and on the thread that made the call, which waits for it. What the function
    /// throws ends the call after its step and comes out of it.
    /// </summary>
    /// <remarks>
    /// <see cref="Progress{T}"/> instead hands reports to the context it was made in: in a window that is what you want; in a
    /// console program they come on other threads, late, in any order, and an exception ends the program.
    /// </remarks>
    public sealed class DirectProgress<T> : IProgress<T>
    {
        private readonly Action<T> report;

        /// <summary>Makes a progress object of a function.</summary>
        public DirectProgress(Action<T> report)
        {
            this.report = report ?? throw new ArgumentNullException(nameof(report));
        }

        /// <summary>Calls the function.</summary>
        public void Report(T value) => report(value);
    }

    // Progress that also ends the call with a token, for functions of C that take none.
    internal sealed class WatchingProgress : IProgress<CountProgress>
    {
        private readonly IProgress<CountProgress> progress;
        private readonly CancellationToken cancellation;

        internal WatchingProgress(IProgress<CountProgress> progress, CancellationToken cancellation)
        {
            this.progress = progress;
            this.cancellation = cancellation;
        }

        public void Report(CountProgress value)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Report(value);
        }
    }

    // A struct that C reports, whose struct_size tells how much of it a library of another version has written.
    internal static unsafe class Reported
    {
        internal static T As<T>(IntPtr report) where T : struct
        {
            var size = Marshal.SizeOf(typeof(T));
            var written = (long)*(UIntPtr*)report;
            var copy = stackalloc byte[size];
            for (var i = 0; i < size; i++)
            {
                copy[i] = i < written ? ((byte*)report)[i] : (byte)0;
            }
            return (T)Marshal.PtrToStructure((IntPtr)copy, typeof(T));
        }
    }

    internal static class Seconds
    {
        // More than .NET can count, and what is no number, become the longest time that there is.
        internal static TimeSpan Of(double seconds) =>
            seconds < TimeSpan.MaxValue.TotalSeconds ? TimeSpan.FromTicks((long)(seconds * TimeSpan.TicksPerSecond))
                : TimeSpan.MaxValue;
    }
}
