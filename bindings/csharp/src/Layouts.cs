using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    // The structs and callbacks of seed.h. A test compares fields and offsets with the header.

    [StructLayout(LayoutKind.Sequential)]
    internal struct ImageLayout
    {
        internal UIntPtr struct_size;
        internal IntPtr data;
        internal uint width;
        internal uint height;
        internal UIntPtr row_stride;
        internal int format;
        internal int device;
    }

    // double[3]
    [StructLayout(LayoutKind.Sequential)]
    internal struct Triple
    {
        internal double red;
        internal double green;
        internal double blue;

        internal double[] ToArray() => new[] { red, green, blue };
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ModelInfoLayout
    {
        internal UIntPtr struct_size;
        internal long parameters;
        internal ulong multiply_adds;
        internal long feature_dim;
        internal long embedding_dim;
        internal Triple mean;
        internal Triple std;
        internal uint input_width;
        internal uint input_height;
        internal uint input_channels;
        internal int head;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ExportOptionsLayout
    {
        internal UIntPtr struct_size;
        internal int format;
        internal int input;
        internal int outputs;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct TeacherBatchLayout
    {
        internal UIntPtr struct_size;
        internal IntPtr images;
        internal UIntPtr count;
        internal uint height;
        internal uint width;
        internal int format;
        internal int device;
        internal int device_index;
        internal UIntPtr dim;
        internal IntPtr embeddings;
        internal IntPtr tensor;
        internal IntPtr message;
        internal UIntPtr message_capacity;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ProgressLayout
    {
        internal UIntPtr struct_size;
        internal ulong step;
        internal ulong total_steps;
        internal ulong epoch;
        internal ulong skipped_images;
        internal double loss;
        internal double learning_rate;
        internal double images_per_second;
        internal double eta_seconds;
        internal double elapsed_seconds;
        internal double waiting_share;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct BankProgressLayout
    {
        internal UIntPtr struct_size;
        internal ulong rows;
        internal ulong total_rows;
        internal ulong skipped_images;
        internal double rows_per_second;
        internal double eta_seconds;
        internal double elapsed_seconds;
        internal double waiting_share;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MemoryLayout
    {
        internal UIntPtr struct_size;
        internal ulong process_bytes;
        internal ulong process_peak_bytes;
        internal ulong device_free_bytes;
        internal ulong device_total_bytes;
        internal ulong device_taken_bytes;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct KnnLayout
    {
        internal UIntPtr struct_size;
        internal double accuracy_mean;
        internal double accuracy_deviation;
        internal double balanced_recall_mean;
        internal double balanced_recall_deviation;
    }

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate void LogCallback(int level, IntPtr message, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int TeacherCallback(IntPtr batch, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate void ReleaseCallback(IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int ProgressCallback(IntPtr progress, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int BankCallback(IntPtr progress, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int CountCallback(UIntPtr done, UIntPtr total, IntPtr userData);
}
