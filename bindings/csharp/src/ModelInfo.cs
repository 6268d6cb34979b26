using System.Collections.Generic;

namespace LibSeed
{
    /// <summary>A network in figures.</summary>
    public sealed class ModelInfo
    {
        internal ModelInfo(ModelInfoLayout from)
        {
            Parameters = from.parameters;
            MultiplyAdds = checked((long)from.multiply_adds);
            FeatureDim = checked((int)from.feature_dim);
            EmbeddingDim = checked((int)from.embedding_dim);
            Mean = from.mean.ToArray();
            Std = from.std.ToArray();
            InputWidth = checked((int)from.input_width);
            InputHeight = checked((int)from.input_height);
            InputChannels = checked((int)from.input_channels);
            Head = (HeadKind)from.head;
            Resize = (Resize)from.resize;
        }

        /// <summary>Numbers that a run learns, head included, running statistics not.</summary>
        public long Parameters { get; }

        /// <summary>
        /// Multiplications with addition for one image of this size, head included, as torchvision counts them (GMac times 10⁹);
        /// 0 where the network has an operation that cannot be counted.
        /// </summary>
        public long MultiplyAdds { get; }

        /// <summary>Width of the features before the head.</summary>
        public int FeatureDim { get; }

        /// <summary>
        /// Width of the embedding; with a classifier the number of classes, without a head <see cref="FeatureDim"/>.
        /// </summary>
        public int EmbeddingDim { get; }

        /// <summary>Subtracted from red, green and blue in [0, 1].</summary>
        public IReadOnlyList<double> Mean { get; }

        /// <summary>Divides red, green and blue afterwards.</summary>
        public IReadOnlyList<double> Std { get; }

        /// <summary>
        /// Pixels in a row of the network's images; others are resized to this size.
        /// </summary>
        public int InputWidth { get; }

        /// <summary>Rows of the network's images.</summary>
        public int InputHeight { get; }

        /// <summary>Channels of the network's images.</summary>
        public int InputChannels { get; }

        /// <summary>What follows the features.</summary>
        public HeadKind Head { get; }

        /// <summary>How a frame becomes the network's image.</summary>
        public Resize Resize { get; }
    }
}
