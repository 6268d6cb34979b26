using System;

namespace LibSeed
{
    /// <summary>What the fit of a classifier, or the linear probe by SGD, is doing.</summary>
    public enum FitStage
    {
        /// <summary>The backbone embeds the labelled images; images are counted.</summary>
        Embedding = 0,
        /// <summary>The linear classifier is fitted; values of the penalty are counted.</summary>
        Linear = 1,
        /// <summary>All layers learn; steps are counted.</summary>
        Full = 2,
        /// <summary>A linear classifier learns by SGD on frozen features; steps are counted.</summary>
        Sgd = 3,
        /// <summary>What has learned is tested; images are counted.</summary>
        Test = 4,
    }

    /// <summary>One report of the fit of a classifier, or of the linear probe by SGD. What there is not yet is NaN.</summary>
    public sealed class FitProgress
    {
        private FitProgress(FitProgressLayout from)
        {
            Stage = (FitStage)from.stage;
            Done = (long)from.done;
            Total = (long)from.total;
            Epoch = (long)from.epoch;
            Loss = from.loss;
            HeldOutLoss = from.held_out_loss;
            HeldOutAccuracy = from.held_out_accuracy;
            TimeLeft = Seconds.Of(from.eta_seconds);
            Elapsed = Seconds.Of(from.elapsed_seconds);
        }

        /// <summary>What is being done.</summary>
        public FitStage Stage { get; }

        /// <summary>How much of it is done.</summary>
        public long Done { get; }

        /// <summary>How much there is to do at most.</summary>
        public long Total { get; }

        /// <summary>Passes over the images so far (<see cref="FitStage.Full"/>, <see cref="FitStage.Sgd"/>).</summary>
        public long Epoch { get; }

        /// <summary>
        /// Mean loss of the last pass (<see cref="FitStage.Full"/>), or since the report before (<see cref="FitStage.Sgd"/>).
        /// </summary>
        public double Loss { get; }

        /// <summary>Calibrated loss on the held-out images, the last that was measured.</summary>
        public double HeldOutLoss { get; }

        /// <summary>Share of the held-out images that got their class then, 0 to 1.</summary>
        public double HeldOutAccuracy { get; }

        /// <summary>Estimated time to the end of this stage.</summary>
        public TimeSpan TimeLeft { get; }

        /// <summary>Time since the call began.</summary>
        public TimeSpan Elapsed { get; }

        internal static FitProgress From(IntPtr progress) => new FitProgress(Reported.As<FitProgressLayout>(progress));
    }
}
