namespace LibSeed
{
    /// <summary>What a classifier says about an image.</summary>
    public sealed class Verdict
    {
        internal Verdict(int number, float confidence, bool unsure, float[] probabilities)
        {
            Class = number;
            Confidence = confidence;
            IsUnsure = unsure;
            Probabilities = probabilities;
        }

        /// <summary>The number of the class; −1 for a broken image.</summary>
        public int Class { get; }

        /// <summary>Its probability, 0 to 1.</summary>
        public float Confidence { get; }

        /// <summary>Whether <see cref="Confidence"/> lies below the classifier's threshold.</summary>
        public bool IsUnsure { get; }

        /// <summary>Those of all classes.</summary>
        public float[] Probabilities { get; }
    }
}
