using System;

namespace LibSeed
{
    /// <summary>How a night ended.</summary>
    public enum NightOutcome
    {
        /// <summary>There were too few new frames; nothing was changed.</summary>
        NothingNew = 0,
        /// <summary>A token ended the call; the same call goes on.</summary>
        Cancelled = 1,
        /// <summary>The night is done and the old student stays live.</summary>
        Kept = 2,
        /// <summary>The night is done and the new student is live.</summary>
        Live = 3,
    }

    /// <summary>
    /// What a night brought. Figures that were not measured are NaN; <see cref="Night.Describe"/> has their intervals.
    /// </summary>
    public sealed class NightResult
    {
        internal NightResult(NightResultLayout from)
        {
            Outcome = (NightOutcome)from.outcome;
            Reason = from.reason.ToString();
            Night = (long)from.night;
            NewFrames = (long)from.new_frames;
            LearnedFrames = (long)from.learned_frames;
            OlderFrames = (long)from.older_frames;
            LabelledFrames = (long)from.labelled_frames;
            ComparedFrames = (long)from.compared_frames;
            ReferenceFrames = (long)from.reference_frames;
            Duration = Seconds.Of(from.seconds);
            Loss = from.loss;
            KlOld = from.kl_old;
            KlNew = from.kl_new;
            OverlapOld = from.overlap_old;
            OverlapNew = from.overlap_new;
            RecallOld = from.recall_old;
            RecallNew = from.recall_new;
            ClassifierRecall = from.classifier_recall;
            LatencyOld = from.latency_old;
            LatencyNew = from.latency_new;
        }

        /// <summary>How it ended.</summary>
        public NightOutcome Outcome { get; }

        /// <summary>Why there was nothing to do or the old student stays; else empty.</summary>
        public string Reason { get; }

        /// <summary>Number of the night, from 1 on.</summary>
        public long Night { get; }

        /// <summary>New frames in the store.</summary>
        public long NewFrames { get; }

        /// <summary>Frames that were distilled on, older ones included.</summary>
        public long LearnedFrames { get; }

        /// <summary>How many of these are older.</summary>
        public long OlderFrames { get; }

        /// <summary>Labelled frames that a classifier was fitted to.</summary>
        public long LabelledFrames { get; }

        /// <summary>Held-out frames that the students were compared on.</summary>
        public long ComparedFrames { get; }

        /// <summary>Labelled frames that were judged.</summary>
        public long ReferenceFrames { get; }

        /// <summary>Time from the night's beginning to its end, interruptions included.</summary>
        public TimeSpan Duration { get; }

        /// <summary>Loss of the distillation at its end.</summary>
        public double Loss { get; }

        /// <summary>Mean KL of the student that was live, in nats.</summary>
        public double KlOld { get; }

        /// <summary>Mean KL of the new student.</summary>
        public double KlNew { get; }

        /// <summary>Overlap with the teacher's neighbours, of the student that was live.</summary>
        public double OverlapOld { get; }

        /// <summary>Overlap of the new student.</summary>
        public double OverlapNew { get; }

        /// <summary>Balanced recall of kNN on the reference, of the student that was live.</summary>
        public double RecallOld { get; }

        /// <summary>Balanced recall of the new student.</summary>
        public double RecallNew { get; }

        /// <summary>Balanced recall of the new classifier on the reference.</summary>
        public double ClassifierRecall { get; }

        /// <summary>Median milliseconds of one frame, of the student that was live.</summary>
        public double LatencyOld { get; }

        /// <summary>Median milliseconds of the new student.</summary>
        public double LatencyNew { get; }
    }
}
