using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What goes with a stored frame; all of it may be left out.</summary>
    public sealed class StoreEntry
    {
        /// <summary>What the frame is called; need not be unique.</summary>
        public string Name { get; set; }

        /// <summary>Whatever shall be kept with it, JSON say.</summary>
        public string Metadata { get; set; }

        /// <summary>When it was taken, kept in microseconds; null: now.</summary>
        public DateTimeOffset? Time { get; set; }

        /// <summary>
        /// Its embedding, kept with length 1; null: none. All of a store must be as wide and come from one network.
        /// </summary>
        public float[] Embedding { get; set; }

        /// <summary>Its class, from 0 on; null: none.</summary>
        public long? Class { get; set; }

        /// <summary>What the class is called.</summary>
        public string ClassText { get; set; }
    }

    // An entry as C sees it, at rest in memory until Dispose.
    internal sealed class EntryView : IDisposable
    {
        private readonly GCHandle[] pinned = new GCHandle[4];
        private int count;

        internal EntryView(StoreEntry entry)
        {
            try
            {
                Layout = new StoreEntryLayout
                {
                    struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(StoreEntryLayout)),
                    name = Pin(entry.Name == null ? null : Text.ToNative(entry.Name, nameof(entry.Name))),
                    metadata = Pin(entry.Metadata == null ? null : Text.ToNative(entry.Metadata, nameof(entry.Metadata))),
                    time_us = Microseconds.Of(entry.Time),
                    embedding = Pin(entry.Embedding),
                    embedding_dim = (UIntPtr)(uint)(entry.Embedding == null ? 0 : entry.Embedding.Length),
                    label = entry.Class.GetValueOrDefault(),
                    label_text = Pin(entry.ClassText == null ? null : Text.ToNative(entry.ClassText, nameof(entry.ClassText))),
                    has_label = entry.Class.HasValue ? 1 : 0,
                };
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        internal StoreEntryLayout Layout { get; }

        private IntPtr Pin(Array array)
        {
            if (array == null || array.Length == 0)
            {
                return IntPtr.Zero;
            }
            pinned[count] = GCHandle.Alloc(array, GCHandleType.Pinned);
            return pinned[count++].AddrOfPinnedObject();
        }

        public void Dispose()
        {
            while (count > 0)
            {
                pinned[--count].Free();
            }
        }
    }
}
