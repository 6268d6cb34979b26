using System;

namespace LibSeed
{
    /// <summary>What is known of a stored frame.</summary>
    public sealed class StoreRecord
    {
        internal StoreRecord(StoreRecordLayout from)
        {
            Id = from.id;
            Time = Microseconds.Time(from.time_us);
            Class = from.label < 0 ? (long?)null : from.label;
            Bytes = checked((long)from.bytes);
            Width = checked((int)from.width);
            Height = checked((int)from.height);
            Channels = checked((int)from.channels);
            Bits = checked((int)from.bits);
            Crc32 = from.crc32;
            Encoding = (StoreEncoding)from.encoding;
        }

        /// <summary>Its number.</summary>
        public long Id { get; }

        /// <summary>When it was taken, UTC.</summary>
        public DateTimeOffset Time { get; }

        /// <summary>The class of its label; null where it has none.</summary>
        public long? Class { get; }

        /// <summary>Length of the encoded image.</summary>
        public long Bytes { get; }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>1 or 3.</summary>
        public int Channels { get; }

        /// <summary>8 to 16 bits a sample, as it is stored.</summary>
        public int Bits { get; }

        /// <summary>CRC-32 of the encoded image.</summary>
        public uint Crc32 { get; }

        /// <summary>Its file format.</summary>
        public StoreEncoding Encoding { get; }
    }

    /// <summary>What a store has done since it was opened, and holds.</summary>
    public sealed class StoreStats
    {
        internal StoreStats(StoreStatsLayout from)
        {
            Pushed = checked((long)from.pushed);
            Stored = checked((long)from.stored);
            Dropped = checked((long)from.dropped);
            PassedOver = checked((long)from.passed_over);
            Failed = checked((long)from.failed);
            Evicted = checked((long)from.evicted);
            QueueFrames = checked((long)from.queue_frames);
            QueueBytes = checked((long)from.queue_bytes);
            Frames = checked((long)from.frames);
            Bytes = checked((long)from.bytes);
            FileBytes = checked((long)from.file_bytes);
        }

        /// <summary>
        /// Frames that were offered: the sum of <see cref="Stored"/>, <see cref="Dropped"/>, <see cref="PassedOver"/>,
        /// <see cref="Failed"/> and <see cref="QueueFrames"/>.
        /// </summary>
        public long Pushed { get; }

        /// <summary>Written, some of which may have gone since.</summary>
        public long Stored { get; }

        /// <summary>Found no room in the queue in time.</summary>
        public long Dropped { get; }

        /// <summary>Not chosen by the reservoir or as novel.</summary>
        public long PassedOver { get; }

        /// <summary>Could not be encoded or written; the log says why.</summary>
        public long Failed { get; }

        /// <summary>Have made room for others or were too old.</summary>
        public long Evicted { get; }

        /// <summary>Wait for the store's thread.</summary>
        public long QueueFrames { get; }

        /// <summary>Bytes of pixels that wait.</summary>
        public long QueueBytes { get; }

        /// <summary>Frames in the store.</summary>
        public long Frames { get; }

        /// <summary>What they count for against <see cref="StoreOptions.MaxBytes"/>.</summary>
        public long Bytes { get; }

        /// <summary>Of the file and its write-ahead log.</summary>
        public long FileBytes { get; }
    }

    /// <summary>What <see cref="Store.Repair"/> did.</summary>
    public sealed class StoreRepair
    {
        internal StoreRepair(ulong saved, ulong lost, bool listDamaged)
        {
            Saved = checked((long)saved);
            Lost = checked((long)lost);
            IsListDamaged = listDamaged;
        }

        /// <summary>Frames in the new store.</summary>
        public long Saved { get; }

        /// <summary>Frames that were damaged.</summary>
        public long Lost { get; }

        /// <summary>
        /// Whether the list of frames is itself damaged, so that nobody knows how many more there were.
        /// </summary>
        public bool IsListDamaged { get; }
    }
}
