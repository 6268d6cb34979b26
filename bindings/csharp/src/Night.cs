using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>How much of what a night takes; 0 is the default, and null where 0 is a value.</summary>
    public sealed class NightOptions
    {
        /// <summary>New frames without which there is nothing to do. Default: 64.</summary>
        public long MinNewFrames { get; set; }

        /// <summary>Most held-out frames that the students are compared on, from 12 on. Default: 500.</summary>
        public long MaxCompared { get; set; }

        /// <summary>Labelled frames that a class needs to be learned, at least 2. Default: 5.</summary>
        public long MinLabels { get; set; }

        /// <summary>Labelled frames of the reference below which kNN and the classifier decide nothing. Default: 100; 1 lets them.</summary>
        public long MinReference { get; set; }

        /// <summary>Frames whose teacher embeddings are the queue of the KL. Default: 512.</summary>
        public long QueueFrames { get; set; }

        /// <summary>Neighbours of overlap and of kNN. Default: 10.</summary>
        public int K { get; set; }

        /// <summary>Share of frames that is held out of training. Default: .2.</summary>
        public double HeldOut { get; set; }

        /// <summary>Share of older frames among those that are distilled on; 0: none. Default: .5.</summary>
        public double? Replay { get; set; }

        /// <summary>Share of the old student's KL that the new one's may be above it. Default: 0.02.</summary>
        public double? KlMargin { get; set; }

        /// <summary>By how much the overlap may be below. Default: 0.02.</summary>
        public double? OverlapMargin { get; set; }

        /// <summary>By how much the balanced recall of kNN and of the classifier may be below. Default: 0.02.</summary>
        public double? RecallMargin { get; set; }

        /// <summary>How many times the old latency is allowed. Default: 1.1.</summary>
        public double LatencyFactor { get; set; }

        internal NightOptionsLayout Layout() => new NightOptionsLayout
        {
            struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(NightOptionsLayout)),
            min_new_frames = (ulong)MinNewFrames,
            max_compared = (ulong)MaxCompared,
            min_labels = (ulong)MinLabels,
            min_reference = (ulong)MinReference,
            queue_frames = (ulong)QueueFrames,
            k = Size.Of(K, nameof(K)),
            held_out = HeldOut,
            replay = Option.Of(Replay),
            kl_margin = Option.Of(KlMargin),
            overlap_margin = Option.Of(OverlapMargin),
            recall_margin = Option.Of(RecallMargin),
            latency_factor = LatencyFactor,
        };
    }

    /// <summary>A station's nights: from the frames of the day to a student that serves tomorrow.</summary>
    public static class Night
    {
        /// <summary>
        /// Runs a night, or goes on with the one that was interrupted, whatever interrupted it: takes the new frames of the store,
        /// distils the teacher on into the live student, fits a classifier to the labels, compares, and where the gate lets it pass
        /// makes the new student live. docs/night.md says how. The line may go on pushing meanwhile.
        /// </summary>
        /// <param name="config">Settings of distillation and fine-tuning; image size, mean and std must be the student's.</param>
        /// <param name="store">Where frames and labels are.</param>
        /// <param name="teacher">Whom the student follows.</param>
        /// <param name="folder">The station's folder; made where there is none.</param>
        /// <param name="first">The student that the first night starts from; null where the folder has one.</param>
        /// <param name="options">How much of what; null: the defaults.</param>
        /// <param name="session">One of the live student, which the new one is put into; null: only the folder changes.</param>
        /// <param name="progress">Receives reports on this thread; what it throws ends the call and is thrown by this method.</param>
        /// <param name="cancellation">Ends the call; the same call goes on later.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Busy"/> when another call works in the folder; <see cref="ErrorCode.Mismatch"/> when the folder is
        /// another teacher's, or student, session and configuration do not fit together.
        /// </exception>
        public static NightResult Run(Config config, Store store, Teacher teacher, string folder, Student first = null,
            NightOptions options = null, Session session = null, IProgress<NightProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            using (var link = new Cancellation(cancellation))
            {
                var result = Run(config, store, teacher, folder, first, options, session, progress, link.Handle);
                if (result.Outcome == NightOutcome.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                }
                return result;
            }
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the call; the outcome is <see cref="NightOutcome.Cancelled"/> when
        /// it has ended it, and nothing is thrown.
        /// </summary>
        public static NightResult Run(CancelToken cancel, Config config, Store store, Teacher teacher, string folder,
            Student first = null, NightOptions options = null, Session session = null, IProgress<NightProgress> progress = null)
        {
            return Run(config, store, teacher, folder, first, options, session, progress,
                Given.Object(cancel, nameof(cancel)).Handle);
        }

        private static NightResult Run(Config config, Store store, Teacher teacher, string folder, Student first,
            NightOptions options, Session session, IProgress<NightProgress> progress, CancelTokenHandle cancel)
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var frames = Given.Object(store, nameof(store)).Handle;
            var master = Given.Object(teacher, nameof(teacher)).Handle;
            var place = Text.ToNative(folder, nameof(folder));
            var start = first == null ? StudentHandle.None : first.Handle;
            var live = session == null ? SessionHandle.None : session.Handle;
            var shares = (options ?? new NightOptions()).Layout();
            var result = new NightResultLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(NightResultLayout)) };
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<NightProgress>(progress))
            {
                callback.Settle(SeedError.Take(Native.seed_night_run(settings, frames, master, place, start, ref shares, live,
                    callback.Wanted ? Callbacks.Nightly : null, callback.Number, cancel, ref result)));
            }
            InFlight.StayWhenLeaving();
            return new NightResult(result);
        }

        /// <summary>
        /// Exchanges the live student of a station's folder, with its classifier, and the one before; the session gets the one that is
        /// live then. The same call again goes forward. A night that was begun is dropped, its frames are new again.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when no student has been replaced so far; <see cref="ErrorCode.Busy"/> while a
        /// night runs there.
        /// </exception>
        public static void Restore(string folder, Config config, Session session = null)
        {
            var place = Text.ToNative(folder, nameof(folder));
            var settings = Given.Object(config, nameof(config)).Handle;
            var live = session == null ? SessionHandle.None : session.Handle;
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_night_restore(place, settings, live));
            }
        }

        /// <summary>
        /// How things stand in a station's folder, as JSON: "nights", "live", "previous", "begun" and "last". At any time, also while a
        /// night runs.
        /// </summary>
        public static string Describe(string folder)
        {
            var place = Text.ToNative(folder, nameof(folder));
            Library.Initialize();
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_night_describe(place, buffer, capacity, out length));
        }
    }
}
