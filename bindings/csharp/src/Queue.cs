using System;

namespace LibSeed
{
    /// <summary>
    /// A first-in-first-out queue of K unit rows of width C: the teacher's last embeddings. Any number of threads may use it
    /// at once; they wait for a step that is using it.
    /// </summary>
    public sealed class Queue : IDisposable
    {
        private readonly QueueHandle handle;

        /// <summary>
        /// Makes a queue of <paramref name="capacity"/> rows (K) of width <paramref name="dim"/> (C), filled with normalised
        /// Gaussian noise drawn from <paramref name="seed"/>, as SEED starts.
        /// </summary>
        public Queue(int capacity, int dim, ulong seed = 0)
        {
            var rows = Size.Of(capacity, nameof(capacity));
            var width = Size.Of(dim, nameof(dim));
            handle = SeedHandle.Make<QueueHandle>((out IntPtr result) =>
                Native.seed_queue_new(rows, width, seed, out result));
        }

        private Queue(QueueHandle handle)
        {
            this.handle = handle;
        }

        internal QueueHandle Handle => handle.Alive(this);

        /// <summary>The number of rows that were pushed, at most the capacity; the others are noise still.</summary>
        public int Length
        {
            get
            {
                UIntPtr length;
                SeedError.Check(Native.seed_queue_length(Handle, out length));
                return Size.Int(length);
            }
        }

        /// <summary>K, the number of rows.</summary>
        public int Capacity
        {
            get
            {
                UIntPtr capacity;
                SeedError.Check(Native.seed_queue_capacity(Handle, out capacity));
                return Size.Int(capacity);
            }
        }

        /// <summary>C, the width of a row.</summary>
        public int Dim
        {
            get
            {
                UIntPtr dim;
                SeedError.Check(Native.seed_queue_dim(Handle, out dim));
                return Size.Int(dim);
            }
        }

        /// <summary>Reads a queue that <see cref="Save"/> wrote.</summary>
        public static Queue Load(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            return new Queue(SeedHandle.Make<QueueHandle>((out IntPtr result) => Native.seed_queue_load(file, out result)));
        }

        /// <summary>Writes the queue to a safetensors file, atomically.</summary>
        public void Save(string path) =>
            SeedError.Check(Native.seed_queue_save(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>Enqueues embeddings of width C; each row is normalised. The oldest make room.</summary>
        public unsafe void Push(Embeddings embeddings)
        {
            Given.Object(embeddings, nameof(embeddings));
            using (InFlight.Begin())
            fixed (float* values = embeddings.Values)
            {
                SeedError.Check(Native.seed_queue_push(Handle, values, (UIntPtr)(uint)embeddings.Count,
                    (UIntPtr)(uint)embeddings.Dim));
            }
        }

        /// <summary>The products of each query with every row of the queue: a row of width K for each query.</summary>
        public unsafe Embeddings Similarities(Embeddings queries)
        {
            Given.Object(queries, nameof(queries));
            var capacity = Capacity;
            using (InFlight.Begin())
            fixed (float* values = queries.Values)
            {
                // A lambda cannot hold what is fixed, but its address.
                var address = (IntPtr)values;
                return new Embeddings(Filling.Array<float>((IntPtr buffer, UIntPtr size, out UIntPtr length) =>
                    Native.seed_queue_similarities(Handle, (float*)address, (UIntPtr)(uint)queries.Count,
                        (UIntPtr)(uint)queries.Dim, buffer, size, out length)), capacity);
            }
        }

        /// <summary>
        /// The <paramref name="k"/> rows nearest to each query by cosine, nearest first, among those that were pushed.
        /// </summary>
        public unsafe Nearest Nearest(Embeddings queries, int k)
        {
            Given.Object(queries, nameof(queries));
            var near = Size.Of(k, nameof(k));
            using (InFlight.Begin())
            fixed (float* values = queries.Values)
            {
                var address = (IntPtr)values;
                return LibSeed.Nearest.Ask(queries.Count, k, (indices, cosines, capacity) =>
                {
                    UIntPtr length;
                    return Native.seed_queue_nearest(Handle, (float*)address, (UIntPtr)(uint)queries.Count,
                        (UIntPtr)(uint)queries.Dim, near, (uint*)indices, (float*)cosines, capacity, out length);
                });
            }
        }

        /// <summary>
        /// <paramref name="count"/> rows from row <paramref name="first"/> on. Row j is column j of
        /// <see cref="Similarities"/>; rows from <see cref="Length"/> on are noise.
        /// </summary>
        public Embeddings Rows(int first, int count)
        {
            UIntPtr from = Size.Of(first, nameof(first)), rows = Size.Of(count, nameof(count));
            return new Embeddings(Filling.Array<float>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_queue_rows(Handle, from, rows, buffer, capacity, out length)), Dim);
        }

        /// <summary>A copy of the queue as it is now, to be put back by <see cref="Restore"/>.</summary>
        public Queue Snapshot() => new Queue(SeedHandle.Make<QueueHandle>((out IntPtr result) =>
            Native.seed_queue_snapshot(Handle, out result)));

        /// <summary>Makes the queue what a snapshot is: any queue of the same K and C, which is left as it is.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Mismatch"/> when K or C differ; the queue is left as it was.
        /// </exception>
        public void Restore(Queue snapshot) =>
            SeedError.Check(Native.seed_queue_restore(Handle, Given.Object(snapshot, nameof(snapshot)).Handle));

        /// <summary>Releases the queue. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
