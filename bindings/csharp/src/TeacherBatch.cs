using System;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace LibSeed
{
    /// <summary>How a teacher's function is shown images.</summary>
    public enum BatchFormat
    {
        /// <summary>Batches are (B, 3, H, W) floats, normalised by "mean" and "std".</summary>
        FloatNchw = 1,
        /// <summary>
        /// Batches are (B, H, W, 3) bytes: red, green and blue levels, exactly those that were normalised.
        /// </summary>
        Uint8Nhwc = 2,
    }

    /// <summary>
    /// A batch for a function of <see cref="Teacher.FromFunction"/>. It and its spans are valid during the call only.
    /// </summary>
    public sealed unsafe class TeacherBatch
    {
        // C may call these at any moment while a teacher lives, so they are never collected.
        internal static readonly TeacherCallback Embedding = Embed;
        internal static readonly ReleaseCallback Released = number => GCHandle.FromIntPtr(number).Free();

        private TeacherBatchLayout* batch;

        private TeacherBatch(TeacherBatchLayout* batch)
        {
            this.batch = batch;
        }

        /// <summary>
        /// B, at most "batch_size" of the run divided by "accumulation_steps"; a last batch may be smaller.
        /// </summary>
        public int Count => checked((int)Valid->count);

        /// <summary>H.</summary>
        public int Height => checked((int)Valid->height);

        /// <summary>W.</summary>
        public int Width => checked((int)Valid->width);

        /// <summary>D.</summary>
        public int Dim => checked((int)Valid->dim);

        /// <summary>
        /// The number of the CUDA device where the images are and the embeddings are expected; −1 in main memory.
        /// </summary>
        public int CudaDevice => Valid->device == Native.DeviceCuda ? Valid->device_index : -1;

        /// <summary>The images (B, 3, H, W) of <see cref="BatchFormat.FloatNchw"/> in main memory.</summary>
        public ReadOnlySpan<float> Floats => new ReadOnlySpan<float>((void*)Shown(BatchFormat.FloatNchw), Levels);

        /// <summary>The images (B, H, W, 3) of <see cref="BatchFormat.Uint8Nhwc"/> in main memory.</summary>
        public ReadOnlySpan<byte> Bytes => new ReadOnlySpan<byte>((void*)Shown(BatchFormat.Uint8Nhwc), Levels);

        /// <summary>
        /// Where B·D numbers are expected, in main memory, row after row; they are divided by their rows' lengths afterwards.
        /// </summary>
        public Span<float> Embeddings => new Span<float>((void*)Near(Valid->embeddings), checked(Count * Dim));

        /// <summary>Where the images begin, in main memory or on the device; to be read only.</summary>
        public IntPtr ImagesAddress => Valid->images;

        /// <summary>Where the embeddings are expected, in main memory or on the device.</summary>
        public IntPtr EmbeddingsAddress => Valid->embeddings;

        private int Levels => checked(Count * Height * Width * 3);

        private TeacherBatchLayout* Valid => batch != null ? batch
            : throw new InvalidOperationException("the batch is valid during the call that it was made for only");

        /// <summary>
        /// Hands out the images as a DLManagedTensorVersioned* of DLPack: whoever takes it calls its deleter, later too, and must
        /// not write to it. The second call gives zero.
        /// </summary>
        public IntPtr TakeTensor()
        {
            var tensor = Valid->tensor;
            Valid->tensor = IntPtr.Zero;
            return tensor;
        }

        private IntPtr Shown(BatchFormat format)
        {
            if (Valid->format != (int)format)
            {
                throw new InvalidOperationException("the images are shown as " + (BatchFormat)Valid->format + ", not as " + format);
            }
            return Near(Valid->images);
        }

        private IntPtr Near(IntPtr address)
        {
            return CudaDevice < 0 ? address : throw new InvalidOperationException("the batch is on CUDA device " + CudaDevice +
                "; use the addresses or the tensor");
        }

        // Nothing may be thrown through the frames of C, so what the function throws becomes the reason that C gives.
        private static int Embed(IntPtr address, IntPtr number)
        {
            var batch = (TeacherBatchLayout*)address;
            try
            {
                var shown = new TeacherBatch(batch);
                try
                {
                    ((Action<TeacherBatch>)GCHandle.FromIntPtr(number).Target)(shown);
                }
                finally
                {
                    shown.batch = null;
                }
                return 0;
            }
            catch (ThreadAbortException)
            {
                // Mono and .NET Framework would throw it again at the end of this block, through C.
                Thread.ResetAbort();
                return Failed(batch, "the thread was aborted");
            }
            catch (Exception error)
            {
                return Failed(batch, error.GetType().Name + ": " + error.Message);
            }
        }

        // Writes whole characters only.
        private static int Failed(TeacherBatchLayout* batch, string reason)
        {
            var capacity = (long)batch->message_capacity;
            if (capacity > 0)
            {
                var bytes = Encoding.UTF8.GetBytes(reason);
                var length = (int)Math.Min(bytes.Length, capacity - 1);
                while (length < bytes.Length && length > 0 && (bytes[length] & 0xc0) == 0x80)
                {
                    length--;
                }
                Marshal.Copy(bytes, 0, batch->message, length);
                Marshal.WriteByte(batch->message, length, 0);
            }
            return 1;
        }
    }
}
