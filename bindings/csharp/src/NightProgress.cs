using System;

namespace LibSeed
{
    /// <summary>What a night is doing, in this order.</summary>
    public enum NightStage
    {
        /// <summary>The student learns; steps are counted.</summary>
        Distil = 1,
        /// <summary>A classifier is made; counted as its fit counts.</summary>
        Finetune = 2,
        /// <summary>The students are compared; images are counted.</summary>
        Evaluate = 3,
        /// <summary>Files and session are exchanged.</summary>
        Swap = 4,
        /// <summary>The report and the line of the history are written.</summary>
        Report = 5,
    }

    /// <summary>One report of a night. Each stage begins with one whose done and total are 0.</summary>
    public sealed class NightProgress
    {
        private NightProgress(NightProgressLayout from)
        {
            Night = (long)from.night;
            Stage = (NightStage)from.stage;
            Done = (long)from.done;
            Total = (long)from.total;
            Loss = from.loss;
            ImagesPerSecond = from.images_per_second;
            TimeLeft = Seconds.Of(from.eta_seconds);
            Elapsed = Seconds.Of(from.elapsed_seconds);
        }

        /// <summary>Number of the night, from 1 on.</summary>
        public long Night { get; }

        /// <summary>What is being done.</summary>
        public NightStage Stage { get; }

        /// <summary>How much of it is done.</summary>
        public long Done { get; }

        /// <summary>How much there is to do at most.</summary>
        public long Total { get; }

        /// <summary>Mean loss since the report before, of the stages that learn; NaN where there is none.</summary>
        public double Loss { get; }

        /// <summary>Rate since the report before; 0 where nothing was measured.</summary>
        public double ImagesPerSecond { get; }

        /// <summary>Estimated time to the end of the stage.</summary>
        public TimeSpan TimeLeft { get; }

        /// <summary>Time since the call began.</summary>
        public TimeSpan Elapsed { get; }

        internal static NightProgress From(IntPtr progress) => new NightProgress(Reported.As<NightProgressLayout>(progress));
    }
}
