namespace LibSeed
{
    /// <summary>Which frames a full store keeps. Labelled frames stay before all others.</summary>
    public enum StoreKeep
    {
        /// <summary>The oldest go.</summary>
        Newest = 1,
        /// <summary>Every frame is kept with the same probability.</summary>
        Reservoir = 2,
        /// <summary>
        /// Frames whose embeddings are unlike the others' are kept; needs <see cref="StoreOptions.MaxFrames"/>, at most 1048576.
        /// </summary>
        Novel = 3,
    }

    /// <summary>The file format of a stored frame.</summary>
    public enum StoreEncoding
    {
        /// <summary>PNG.</summary>
        Png = 1,
        /// <summary>JPEG.</summary>
        Jpeg = 2,
        /// <summary>BMP, from <see cref="Store.PushEncoded"/> only.</summary>
        Bmp = 3,
        /// <summary>TIFF, from <see cref="Store.PushEncoded"/> only.</summary>
        Tiff = 4,
        /// <summary>WebP, from <see cref="Store.PushEncoded"/> only.</summary>
        WebP = 5,
        /// <summary>PBM, PGM or PPM, from <see cref="Store.PushEncoded"/> only.</summary>
        Pnm = 6,
    }

    /// <summary>Which frames a <see cref="StoreFilter"/> lets through by their labels.</summary>
    public enum StoreLabelled
    {
        /// <summary>All.</summary>
        Either = 0,
        /// <summary>Those without a label.</summary>
        Unlabelled = 1,
        /// <summary>Those with any label.</summary>
        Labelled = 2,
        /// <summary>Those of the filter's class.</summary>
        OfClass = 3,
    }
}
