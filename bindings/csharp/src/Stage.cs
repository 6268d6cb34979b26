namespace LibSeed
{
    /// <summary>A feature map of a session's network that can be asked for.</summary>
    public sealed class Stage
    {
        internal Stage(string name, long channels, long stride)
        {
            Name = name;
            Channels = checked((int)channels);
            Stride = checked((int)stride);
        }

        /// <summary>Torchvision's name: "layer2", "features.6".</summary>
        public string Name { get; }

        /// <summary>The number of channels.</summary>
        public int Channels { get; }

        /// <summary>
        /// How many pixels of the input stand for one of the map in both directions: it is ⌈height/stride⌉ × ⌈width/stride⌉.
        /// </summary>
        public int Stride { get; }
    }
}
