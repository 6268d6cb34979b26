using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// Owns a DLManagedTensorVersioned of DLPack 1, the form in which libraries hand tensors to each other without a copy. For
    /// one thread at a time.
    /// </summary>
    public sealed class DlpackTensor : IDisposable
    {
        private readonly DlpackHandle handle;

        internal DlpackTensor(DlpackHandle handle)
        {
            this.handle = handle;
        }

        /// <summary>
        /// Hands the DLManagedTensorVersioned* out, for another library to take: whoever has it calls its deleter. This object
        /// counts as disposed then.
        /// </summary>
        public IntPtr Detach() => handle.Alive(this).Detach();

        /// <summary>Copies the rows of a tensor in main memory.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Unsupported"/> for a tensor on a GPU: hand it to a library for that one by <see cref="Detach"/>.
        /// </exception>
        public Embeddings ToEmbeddings()
        {
            var held = false;
            try
            {
                handle.Alive(this).DangerousAddRef(ref held);
                return ((DlpackLayout)Marshal.PtrToStructure(handle.DangerousGetHandle(), typeof(DlpackLayout))).Rows();
            }
            finally
            {
                if (held)
                {
                    handle.DangerousRelease();
                }
            }
        }

        /// <summary>Calls the tensor's deleter.</summary>
        public void Dispose() => handle.Dispose();
    }

    // DLManagedTensorVersioned of dlpack.h, version 1 (https://dmlc.github.io/dlpack).
    [StructLayout(LayoutKind.Sequential)]
    internal struct DlpackLayout
    {
        internal const int Cpu = 1;
        internal const int Float = 2;
        private const int CudaHost = 3;

        internal uint Major;
        internal uint Minor;
        internal IntPtr Manager;
        internal IntPtr Deleter;
        internal ulong Flags;
        internal IntPtr Data;
        internal int DeviceType;
        internal int DeviceId;
        internal int Dimensions;
        internal byte TypeCode;
        internal byte TypeBits;
        internal ushort TypeLanes;
        internal IntPtr Shape;
        internal IntPtr Strides;
        internal ulong ByteOffset;

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        internal delegate void Deleting(IntPtr tensor);

        internal static void Delete(IntPtr tensor)
        {
            var deleter = ((DlpackLayout)Marshal.PtrToStructure(tensor, typeof(DlpackLayout))).Deleter;
            if (deleter != IntPtr.Zero)
            {
                ((Deleting)Marshal.GetDelegateForFunctionPointer(deleter, typeof(Deleting)))(tensor);
            }
        }

        internal unsafe Embeddings Rows()
        {
            if (DeviceType != Cpu && DeviceType != CudaHost)
            {
                throw new SeedException(ErrorCode.Unsupported, "the tensor is on a GPU, expected main memory; hand it to a " +
                    "library for that GPU by Detach");
            }
            if (Dimensions != 2 || TypeCode != Float || TypeBits != 32 || TypeLanes != 1)
            {
                throw new SeedException(ErrorCode.InvalidArgument, "the tensor has " + Dimensions + " dimensions and type " +
                    TypeCode + " of " + TypeBits + " bits, expected rows of float32");
            }
            var sides = (long*)Shape;
            long count = sides[0], dim = sides[1];
            var strides = (long*)Strides;
            long rowStep = strides == null ? dim : strides[0], step = strides == null ? 1 : strides[1];
            var values = new float[checked(count * dim)];
            var first = (float*)((byte*)Data + ByteOffset);
            for (long i = 0; i < count; i++)
            {
                for (long j = 0; j < dim; j++)
                {
                    values[i * dim + j] = first[i * rowStep + j * step];
                }
            }
            return new Embeddings(values, checked((int)dim));
        }
    }
}
