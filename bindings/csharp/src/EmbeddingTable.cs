using System;

namespace LibSeed
{
    /// <summary>
    /// Embeddings that a teacher made elsewhere, one row an image. It never changes; any number of threads may use it at once.
    /// </summary>
    public sealed class EmbeddingTable : IDisposable
    {
        private readonly EmbeddingsHandle handle;

        /// <summary>Copies rows; row i is image i's.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when there is none or the width is above 65536.
        /// </exception>
        public unsafe EmbeddingTable(Embeddings rows)
        {
            Given.Object(rows, nameof(rows));
            fixed (float* values = rows.Values)
            {
                // A lambda cannot hold what is fixed, but its address.
                var address = (IntPtr)values;
                handle = SeedHandle.Make<EmbeddingsHandle>((out IntPtr result) => Native.seed_embeddings_new((float*)address,
                    (UIntPtr)(uint)rows.Count, (UIntPtr)(uint)rows.Dim, out result));
            }
        }

        private EmbeddingTable(EmbeddingsHandle handle)
        {
            this.handle = handle;
        }

        internal EmbeddingsHandle Handle => handle.Alive(this);

        /// <summary>The number of rows.</summary>
        public int Count
        {
            get
            {
                UIntPtr count;
                SeedError.Check(Native.seed_embeddings_count(Handle, out count));
                return Size.Int(count);
            }
        }

        /// <summary>The width of a row; the student gets it too where "embedding_dim" is 0, the default.</summary>
        public int Dim
        {
            get
            {
                long dim;
                SeedError.Check(Native.seed_embeddings_dim(Handle, out dim));
                return checked((int)dim);
            }
        }

        /// <summary>
        /// Reads embeddings from a file: .npy, (N, D) of float16, float32 or float64, row i for image i of the data set; or
        /// safetensors with a tensor "embeddings" (N, D). With "names" in the metadata of a safetensors file, a JSON list of N
        /// names as <see cref="Dataset.Name"/> has them, rows are found by name, in any order, and may be more than the data
        /// set's. Lengths of rows do not matter.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a damaged or hostile file or another table.
        /// </exception>
        public static EmbeddingTable Load(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            return new EmbeddingTable(SeedHandle.Make<EmbeddingsHandle>((out IntPtr result) =>
                Native.seed_embeddings_load(file, out result)));
        }

        /// <summary>Releases the table. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
