using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// A file of frames with their labels, texts and embeddings, bounded in size, that a station writes while it runs. Any number
    /// of threads may use it at once. Methods that take an id throw <see cref="ErrorCode.InvalidArgument"/> when there is no such
    /// frame.
    /// </summary>
    public sealed class Store : IDisposable
    {
        private readonly StoreHandle handle;

        private Store(StoreHandle handle)
        {
            this.handle = handle;
        }

        internal StoreHandle Handle => handle.Alive(this);

        /// <summary>
        /// Opens the store in a file to write, and makes it where there is none. Beside it lie path.lock and, while it is open,
        /// path-wal and path-shm. It must be on a local disk.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Busy"/> when another store writes to it, here or in another process; <see cref="ErrorCode.Io"/>;
        /// <see cref="ErrorCode.Format"/> when the file is no store; <see cref="ErrorCode.Mismatch"/> for another version's, or
        /// when novel frames are to be kept and stored ones have no embedding.
        /// </exception>
        public static Store Open(string path, StoreOptions options = null)
        {
            var file = Text.ToNative(path, nameof(path));
            var layout = (options ?? new StoreOptions()).Layout();
            return new Store(SeedHandle.Make<StoreHandle>((out IntPtr result) =>
                Native.seed_store_open(file, ref layout, out result)));
        }

        /// <summary>
        /// Opens the store in a file to read, whether or not a process writes to it. Methods that change the store throw
        /// <see cref="ErrorCode.InvalidArgument"/>.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> when there is no such file, <see cref="ErrorCode.Format"/> when it is no store,
        /// <see cref="ErrorCode.Mismatch"/> for another version's.
        /// </exception>
        public static Store OpenToRead(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            return new Store(SeedHandle.Make<StoreHandle>((out IntPtr result) =>
                Native.seed_store_open_to_read(file, out result)));
        }

        /// <summary>
        /// Gives frames without an embedding that of a session, as it is now, in the store's thread from now on; null ends it.
        /// After <see cref="Session.Swap"/> the store goes on with the old network: embeddings of two networks cannot be compared.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Mismatch"/> when the store has embeddings of another width.
        /// </exception>
        public void SetSession(Session session) =>
            SeedError.Check(Native.seed_store_set_session(Handle, session == null ? SessionHandle.None : session.Handle));

        /// <summary>
        /// Copies a frame into the store's queue and returns; encoding and writing happen in the store's thread. Gives the id under
        /// which the frame will be stored, from 1 on and never given twice; 0 when it was not taken: there was no room, or the
        /// reservoir passes it over. <see cref="Stats"/> counts both.
        /// </summary>
        /// <param name="image">The frame.</param>
        /// <param name="entry">What goes with it.</param>
        /// <param name="wait">
        /// How long to wait for room where the queue is full; <see cref="Timeout.InfiniteTimeSpan"/>: for ever.
        /// </param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an image that is not sound or larger than
        /// <see cref="StoreOptions.QueueBytes"/>, and where novel frames are kept and there is neither an embedding nor a session;
        /// <see cref="ErrorCode.Mismatch"/> for an embedding of another width.
        /// </exception>
        public unsafe long Push(Image image, StoreEntry entry = null, TimeSpan wait = default(TimeSpan))
        {
            using (var views = new ImageViews(image))
            {
                fixed (ImageLayout* view = views.Views)
                {
                    return Push(view, entry, wait);
                }
            }
        }

        /// <summary>As <see cref="Push(Image, StoreEntry, TimeSpan)"/>, of pixels in a span.</summary>
        public unsafe long Push(ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, StoreEntry entry = null,
            TimeSpan wait = default(TimeSpan), int stride = 0)
        {
            stride = PixelLayout.Check(pixels.Length, width, height, format, stride, 0);
            fixed (byte* start = &MemoryMarshal.GetReference(pixels))
            {
                var view = ImageViews.Of((IntPtr)start, width, height, stride, format);
                return Push(&view, entry, wait);
            }
        }

        private unsafe long Push(ImageLayout* view, StoreEntry entry, TimeSpan wait)
        {
            long id;
            var patience = Milliseconds(wait);
            using (var given = new EntryView(entry ?? new StoreEntry()))
            {
                var layout = given.Layout;
                SeedError.Check(Native.seed_store_push(Handle, view, &layout, patience, out id));
            }
            return id;
        }

        /// <summary>
        /// As <see cref="Push(Image, StoreEntry, TimeSpan)"/> for a JPEG, PNG, BMP, TIFF, WebP or PNM, which is stored as it is. One that does
        /// not decode counts as failed.
        /// </summary>
        public unsafe long PushEncoded(ReadOnlySpan<byte> file, StoreEntry entry = null, TimeSpan wait = default(TimeSpan))
        {
            long id;
            var patience = Milliseconds(wait);
            using (var given = new EntryView(entry ?? new StoreEntry()))
            fixed (byte* start = &MemoryMarshal.GetReference(file))
            {
                var layout = given.Layout;
                SeedError.Check(Native.seed_store_push_encoded(Handle, start, (UIntPtr)(uint)file.Length, &layout, patience, out id));
            }
            return id;
        }

        private static uint Milliseconds(TimeSpan wait)
        {
            if (wait == Timeout.InfiniteTimeSpan)
            {
                return uint.MaxValue;
            }
            if (wait < TimeSpan.Zero)
            {
                throw new ArgumentOutOfRangeException(nameof(wait), wait, "expected a time from 0 or Timeout.InfiniteTimeSpan");
            }
            return (uint)Math.Min(Math.Ceiling(wait.TotalMilliseconds), uint.MaxValue - 1);
        }

        /// <summary>
        /// Waits until all frames that were pushed before are stored and synced to the disk: they survive the end of the process,
        /// and of power where the disk keeps its word.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> when that cannot be done now; the frames wait and are tried again.
        /// </exception>
        public void Flush() => SeedError.Check(Native.seed_store_flush(Handle));

        /// <summary>
        /// Labels a frame once all that was pushed before is stored. Labelled frames are not let go for their age, and for others
        /// only when all are labelled.
        /// </summary>
        /// <param name="id">The frame.</param>
        /// <param name="number">Its class, from 0 on.</param>
        /// <param name="text">What the class is called.</param>
        public void SetLabel(long id, long number, string text = null)
        {
            if (number < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(number), number, "expected a class from 0 on");
            }
            SeedError.Check(Native.seed_store_set_label(Handle, id, number, text == null ? null : Text.ToNative(text, nameof(text))));
        }

        /// <summary>Takes a frame's label away.</summary>
        public void RemoveLabel(long id) => SeedError.Check(Native.seed_store_set_label(Handle, id, -1, null));

        /// <summary>Removes frames, all or none; those that are not there are fine.</summary>
        public unsafe void Remove(params long[] ids)
        {
            fixed (long* first = Given.Object(ids, nameof(ids)))
            {
                SeedError.Check(Native.seed_store_remove(Handle, first, (UIntPtr)(uint)ids.Length));
            }
        }

        /// <summary>
        /// The ids of the frames that a filter lets through, ascending; null: all. A frame that was just pushed is there after
        /// <see cref="Flush"/>.
        /// </summary>
        public long[] List(StoreFilter filter = null)
        {
            var layout = (filter ?? new StoreFilter()).Layout();
            return Filling.Array<long>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_store_list(Handle, ref layout, buffer, capacity, out length));
        }

        /// <summary>What is known of a frame.</summary>
        public StoreRecord Describe(long id)
        {
            var record = new StoreRecordLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(StoreRecordLayout)) };
            SeedError.Check(Native.seed_store_describe(Handle, id, ref record));
            return new StoreRecord(record);
        }

        /// <summary>What a frame is called.</summary>
        public string Name(long id) => About(id, Native.StoreTextName);

        /// <summary>What is kept with a frame.</summary>
        public string Metadata(long id) => About(id, Native.StoreTextMetadata);

        /// <summary>What the class of a frame is called; empty where it has none.</summary>
        public string ClassText(long id) => About(id, Native.StoreTextLabel);

        private string About(long id, int which) => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_store_text(Handle, id, which, buffer, capacity, out length));

        /// <summary>The pixels of a frame, as <see cref="Picture.Decode"/> gives them.</summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Format"/> when the image is damaged.</exception>
        public Picture Pixels(long id)
        {
            var view = default(ImageLayout);
            return new Picture(Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_store_pixels(Handle, id, ref view, buffer, capacity, out length)), view);
        }

        /// <summary>The file of a frame, PNG or JPEG say.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> when the bytes are not those that were stored.
        /// </exception>
        public byte[] Encoded(long id) => Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_store_encoded(Handle, id, buffer, capacity, out length));

        /// <summary>The embedding of a frame, of length 1; no numbers where it has none.</summary>
        public float[] Embedding(long id) => Filling.Array<float>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_store_embedding(Handle, id, buffer, capacity, out length));

        /// <summary>The classes of frames, −1 where there is none.</summary>
        public unsafe long[] Labels(params long[] ids)
        {
            var labels = new long[Given.Object(ids, nameof(ids)).Length];
            fixed (long* asked = ids)
            {
                fixed (long* found = labels)
                {
                    SeedError.Check(Native.seed_store_labels(Handle, asked, (UIntPtr)(uint)ids.Length, found));
                }
            }
            return labels;
        }

        /// <summary>
        /// What the store has done and holds. Cheap for the one that writes; a reader counts all frames.
        /// </summary>
        public StoreStats Stats()
        {
            var stats = new StoreStatsLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(StoreStatsLayout)) };
            SeedError.Check(Native.seed_store_stats_now(Handle, ref stats));
            return new StoreStats(stats);
        }

        /// <summary>
        /// What keeps the store's thread from storing at the moment, a full disk say; empty when nothing does.
        /// </summary>
        public string Trouble => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_store_trouble(Handle, buffer, capacity, out length));

        /// <summary>
        /// Looks at every page of the store in a file and decodes every image; others may use it meanwhile.
        /// </summary>
        /// <param name="path">The file.</param>
        /// <param name="progress">Receives how many frames are done, on this thread; what it throws ends the check and is thrown
        /// by this method.</param>
        /// <param name="cancellation">Ends the check.</param>
        /// <exception cref="OperationCanceledException">The token ended the check.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> with the number of problems and the first hundred of them; <see cref="ErrorCode.Io"/>.
        /// </exception>
        public static void Check(string path, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            var file = Text.ToNative(path, nameof(path));
            Library.Initialize();
            using (InFlight.Begin())
            using (var callback = new Callback<CountProgress>(new WatchingProgress(progress, cancellation)))
            {
                callback.Settle(SeedError.Take(Native.seed_store_check(file, Callbacks.Counting, callback.Number)));
            }
        }

        /// <summary>
        /// Copies every sound frame, with its number, label and embedding, from the store in a file, which nobody writes to, into a
        /// new store in another file. Progress and cancellation are as for <see cref="Check"/>.
        /// </summary>
        /// <exception cref="OperationCanceledException">The token ended the repair.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when the new file exists; <see cref="ErrorCode.Busy"/>;
        /// <see cref="ErrorCode.Io"/>; <see cref="ErrorCode.Format"/> when the old store cannot even be opened.
        /// </exception>
        public static StoreRepair Repair(string path, string newPath, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            byte[] from = Text.ToNative(path, nameof(path)), to = Text.ToNative(newPath, nameof(newPath));
            Library.Initialize();
            ulong saved, lost;
            int damaged;
            using (InFlight.Begin())
            using (var callback = new Callback<CountProgress>(new WatchingProgress(progress, cancellation)))
            {
                callback.Settle(SeedError.Take(Native.seed_store_repair(from, to, Callbacks.Counting, callback.Number, out saved,
                    out lost, out damaged)));
            }
            return new StoreRepair(saved, lost, damaged != 0);
        }

        /// <summary>
        /// Stores what waits and ends writing, for which it does wait, and says what could not be stored. Reading goes on. Only the
        /// first call can fail.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> (a full disk, after one more try) when frames that had got a number are lost, how many and
        /// why, or when what was stored could not be synced.
        /// </exception>
        public void Close() => SeedError.Check(Native.seed_store_close(Handle));

        /// <summary>
        /// Releases the store, after what <see cref="Close"/> does: what could not be stored only the log says. Data sets of the
        /// store live on.
        /// </summary>
        public void Dispose() => handle.Dispose();
    }
}
