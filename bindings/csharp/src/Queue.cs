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

        /// <summary>Releases the queue. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
