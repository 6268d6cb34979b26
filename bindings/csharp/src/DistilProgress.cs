using System;

namespace LibSeed
{
    /// <summary>What <see cref="Distillation"/> is doing, in this order.</summary>
    public enum DistilStage
    {
        /// <summary>Both networks are measured and the settings decided on.</summary>
        Plan = 1,
        /// <summary>The teacher sees the views that the student will learn from; views are counted.</summary>
        Bank = 2,
        /// <summary>The student learns; steps are counted.</summary>
        Run = 3,
        /// <summary>The student is judged and the report written.</summary>
        Report = 4,
    }

    /// <summary>One report of <see cref="Distillation"/>. The first comes at once.</summary>
    public sealed class DistilProgress
    {
        private DistilProgress(DistilProgressLayout from)
        {
            Stage = (DistilStage)from.stage;
            Done = (long)from.done;
            Total = (long)from.total;
            Elapsed = Seconds.Of(from.elapsed_seconds);
            TimeLeft = Seconds.Of(from.eta_seconds);
            ImagesPerSecond = from.images_per_second;
            Loss = from.loss;
            ProbeAgreement = from.probe_agreement;
            ProbeRecall = from.probe_recall;
        }

        /// <summary>What is being done.</summary>
        public DistilStage Stage { get; }

        /// <summary>Views that the teacher has seen, or steps that were made; 0 in the other stages.</summary>
        public long Done { get; }

        /// <summary>Of how many; 0 where that is not known.</summary>
        public long Total { get; }

        /// <summary>Time since the call began.</summary>
        public TimeSpan Elapsed { get; }

        /// <summary>Estimated time to the end of the stage; <see cref="TimeSpan.MaxValue"/> where it is not known.</summary>
        public TimeSpan TimeLeft { get; }

        /// <summary>Images a second; 0 where they are not known.</summary>
        public double ImagesPerSecond { get; }

        /// <summary>Mean loss since the report before; NaN outside of the run and before its first step.</summary>
        public double Loss { get; }

        /// <summary>
        /// Share of the teacher's ten nearest frames that are the student's too, at the last look; NaN before the first.
        /// </summary>
        public double ProbeAgreement { get; }

        /// <summary>Balanced 10-NN recall by the classes of the frames' folders, at the last look; NaN without classes.</summary>
        public double ProbeRecall { get; }

        internal static DistilProgress From(IntPtr progress) => new DistilProgress(Reported.As<DistilProgressLayout>(progress));
    }

    /// <summary>
    /// How good a student is. Figures that are not known are NaN: those by labels without classes of folders, all of a call that was
    /// cancelled.
    /// </summary>
    public sealed class DistilSummary
    {
        internal DistilSummary(DistilSummaryLayout from)
        {
            Outcome = (Outcome)from.outcome;
            Images = (long)from.images;
            Classes = (long)from.classes;
            Steps = (long)from.steps;
            Duration = Seconds.Of(from.seconds);
            AgreementBefore = from.agreement_before;
            AgreementAfter = from.agreement_after;
            AgreementChance = from.agreement_chance;
            RecallBefore = from.recall_before;
            RecallAfter = from.recall_after;
            RecallAfterDeviation = from.recall_after_deviation;
            RecallTeacher = from.recall_teacher;
            RecallChance = from.recall_chance;
            Warnings = (long)from.warnings;
        }

        /// <summary><see cref="Outcome.Finished"/> or <see cref="Outcome.Cancelled"/>.</summary>
        public Outcome Outcome { get; }

        /// <summary>Frames that the figures are of.</summary>
        public long Images { get; }

        /// <summary>Classes of folders among them; 0 without.</summary>
        public long Classes { get; }

        /// <summary>Steps that were made.</summary>
        public long Steps { get; }

        /// <summary>Time that the call took.</summary>
        public TimeSpan Duration { get; }

        /// <summary>Share of the teacher's ten nearest frames that are the student's too, before the run.</summary>
        public double AgreementBefore { get; }

        /// <summary>The same after it.</summary>
        public double AgreementAfter { get; }

        /// <summary>What two spaces share that have nothing to do with each other.</summary>
        public double AgreementChance { get; }

        /// <summary>Mean balanced recall of 10-NN over five splits, before the run.</summary>
        public double RecallBefore { get; }

        /// <summary>The same after it.</summary>
        public double RecallAfter { get; }

        /// <summary>Sample deviation of the five splits, after it.</summary>
        public double RecallAfterDeviation { get; }

        /// <summary>The teacher's.</summary>
        public double RecallTeacher { get; }

        /// <summary>1 / <see cref="Classes"/>.</summary>
        public double RecallChance { get; }

        /// <summary>How many warnings there are; <see cref="Distilled.Warnings"/> gives them.</summary>
        public long Warnings { get; }
    }
}
