using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>How a store is opened; 0 is the default everywhere.</summary>
    public sealed class StoreOptions
    {
        /// <summary>
        /// Most bytes of images, embeddings and texts; the file is a few per cent larger. Default: 8 GiB.
        /// </summary>
        public long MaxBytes { get; set; }

        /// <summary>Most frames. Default: no limit.</summary>
        public long MaxFrames { get; set; }

        /// <summary>Unlabelled frames older than this are let go; whole seconds count. Default: no limit.</summary>
        public TimeSpan MaxAge { get; set; }

        /// <summary>Of the reservoir's choice.</summary>
        public ulong Seed { get; set; }

        /// <summary>Most bytes of pixels that wait for the store's thread. Default: 256 MiB.</summary>
        public long QueueBytes { get; set; }

        /// <summary>Most frames that wait, up to 65536. Default: 32.</summary>
        public int QueueFrames { get; set; }

        /// <summary>What stays when the store is full.</summary>
        public StoreKeep Keep { get; set; } = StoreKeep.Newest;

        /// <summary>PNG or JPEG.</summary>
        public StoreEncoding Encoding { get; set; } = StoreEncoding.Png;

        /// <summary>1 to 100. Default: 90.</summary>
        public int JpegQuality { get; set; }

        internal StoreOptionsLayout Layout()
        {
            if (MaxBytes < 0 || MaxFrames < 0 || MaxAge < TimeSpan.Zero || QueueBytes < 0 || QueueFrames < 0)
            {
                throw new ArgumentException("a store's bounds are below 0, expected numbers from 0");
            }
            return new StoreOptionsLayout
            {
                struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(StoreOptionsLayout)),
                max_bytes = (ulong)MaxBytes,
                max_frames = (ulong)MaxFrames,
                // A part of a second must not become 0, which is no limit.
                max_age_seconds = (ulong)Math.Ceiling(MaxAge.TotalSeconds),
                seed = Seed,
                queue_bytes = (ulong)QueueBytes,
                queue_frames = (uint)QueueFrames,
                keep = (int)Keep,
                encoding = (int)Encoding,
                jpeg_quality = JpegQuality,
            };
        }
    }

    /// <summary>Which frames are listed; 0 and null are no bound.</summary>
    public sealed class StoreFilter
    {
        /// <summary>Smallest id.</summary>
        public long FirstId { get; set; }

        /// <summary>Largest id.</summary>
        public long LastId { get; set; }

        /// <summary>Earliest time.</summary>
        public DateTimeOffset? From { get; set; }

        /// <summary>Latest time.</summary>
        public DateTimeOffset? Until { get; set; }

        /// <summary>Which by their labels.</summary>
        public StoreLabelled Labelled { get; set; }

        /// <summary>The class, for <see cref="StoreLabelled.OfClass"/>.</summary>
        public long Class { get; set; }

        /// <summary>Only the last so many of them.</summary>
        public long Last { get; set; }

        internal StoreFilterLayout Layout()
        {
            if (Last < 0)
            {
                throw new ArgumentException("the last " + Last + " frames were asked for, expected a number from 0");
            }
            return new StoreFilterLayout
            {
                struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(StoreFilterLayout)),
                first_id = FirstId,
                last_id = LastId,
                from_us = Microseconds.Of(From),
                until_us = Microseconds.Of(Until),
                label = Class,
                last = (ulong)Last,
                labelled = (int)Labelled,
            };
        }
    }

    // Times as the store has them: microseconds since 1970, 0 for none.
    internal static class Microseconds
    {
        private const long Start = 621355968000000000;
        private const int Ticks = 10;

        internal static long Of(DateTimeOffset? time) => time.HasValue ? (time.Value.UtcTicks - Start) / Ticks : 0;

        // What .NET cannot count becomes its first or last moment.
        internal static DateTimeOffset Time(long microseconds)
        {
            long least = (DateTimeOffset.MinValue.UtcTicks - Start) / Ticks, most = (DateTimeOffset.MaxValue.UtcTicks - Start) / Ticks;
            return new DateTimeOffset(Start + Math.Min(Math.Max(microseconds, least), most) * Ticks, TimeSpan.Zero);
        }
    }
}
