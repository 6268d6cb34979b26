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
        internal int resize;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct ExportOptionsLayout
    {
        internal UIntPtr struct_size;
        internal int format;
        internal int input;
        internal int outputs;
        internal int reserved;

        internal static ExportOptionsLayout Of(ExportFormat format, ExportInput input, ExportOutputs outputs)
        {
            return new ExportOptionsLayout
            {
                struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(ExportOptionsLayout)),
                format = (int)format,
                input = (int)input,
                outputs = (int)outputs,
            };
        }
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
        internal double probe_agreement;
        internal double probe_agreement_start;
        internal double probe_agreement_best;
        internal double probe_recall;
        internal ulong probe_step;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DistilProgressLayout
    {
        internal UIntPtr struct_size;
        internal int stage;
        internal ulong done;
        internal ulong total;
        internal double elapsed_seconds;
        internal double eta_seconds;
        internal double images_per_second;
        internal double loss;
        internal double probe_agreement;
        internal double probe_recall;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DistilSummaryLayout
    {
        internal UIntPtr struct_size;
        internal int outcome;
        internal ulong images;
        internal ulong classes;
        internal ulong steps;
        internal double seconds;
        internal double agreement_before;
        internal double agreement_after;
        internal double agreement_chance;
        internal double recall_before;
        internal double recall_after;
        internal double recall_after_deviation;
        internal double recall_teacher;
        internal double recall_chance;
        internal ulong warnings;
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

    [StructLayout(LayoutKind.Sequential)]
    internal struct StoreOptionsLayout
    {
        internal UIntPtr struct_size;
        internal ulong max_bytes;
        internal ulong max_frames;
        internal ulong max_age_seconds;
        internal ulong seed;
        internal ulong queue_bytes;
        internal uint queue_frames;
        internal int keep;
        internal int encoding;
        internal int jpeg_quality;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct StoreEntryLayout
    {
        internal UIntPtr struct_size;
        internal IntPtr name;
        internal IntPtr metadata;
        internal long time_us;
        internal IntPtr embedding;
        internal UIntPtr embedding_dim;
        internal long label;
        internal IntPtr label_text;
        internal int has_label;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct StoreFilterLayout
    {
        internal UIntPtr struct_size;
        internal long first_id;
        internal long last_id;
        internal long from_us;
        internal long until_us;
        internal long label;
        internal ulong last;
        internal int labelled;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct StoreRecordLayout
    {
        internal UIntPtr struct_size;
        internal long id;
        internal long time_us;
        internal long label;
        internal ulong bytes;
        internal uint width;
        internal uint height;
        internal uint channels;
        internal uint bits;
        internal uint crc32;
        internal int encoding;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct StoreStatsLayout
    {
        internal UIntPtr struct_size;
        internal ulong pushed;
        internal ulong stored;
        internal ulong dropped;
        internal ulong passed_over;
        internal ulong failed;
        internal ulong evicted;
        internal ulong queue_frames;
        internal ulong queue_bytes;
        internal ulong frames;
        internal ulong bytes;
        internal ulong file_bytes;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct FitProgressLayout
    {
        internal UIntPtr struct_size;
        internal int stage;
        internal int reserved;
        internal ulong done;
        internal ulong total;
        internal ulong epoch;
        internal double loss;
        internal double held_out_loss;
        internal double held_out_accuracy;
        internal double eta_seconds;
        internal double elapsed_seconds;
    }

    // char[256]
    [StructLayout(LayoutKind.Sequential, Size = 256)]
    internal struct ReasonLayout
    {
        internal byte first;

        public override unsafe string ToString()
        {
            fixed (byte* bytes = &first)
            {
                return Text.FromNative((IntPtr)bytes);
            }
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NightOptionsLayout
    {
        internal UIntPtr struct_size;
        internal ulong min_new_frames;
        internal ulong max_compared;
        internal ulong min_labels;
        internal ulong min_reference;
        internal ulong queue_frames;
        internal UIntPtr k;
        internal double held_out;
        internal double replay;
        internal double kl_margin;
        internal double overlap_margin;
        internal double recall_margin;
        internal double latency_factor;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NightProgressLayout
    {
        internal UIntPtr struct_size;
        internal ulong night;
        internal ulong done;
        internal ulong total;
        internal double loss;
        internal double images_per_second;
        internal double eta_seconds;
        internal double elapsed_seconds;
        internal int stage;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct NightResultLayout
    {
        internal UIntPtr struct_size;
        internal ulong night;
        internal ulong new_frames;
        internal ulong learned_frames;
        internal ulong older_frames;
        internal ulong labelled_frames;
        internal ulong compared_frames;
        internal ulong reference_frames;
        internal double seconds;
        internal double loss;
        internal double kl_old;
        internal double kl_new;
        internal double overlap_old;
        internal double overlap_new;
        internal double recall_old;
        internal double recall_new;
        internal double classifier_recall;
        internal double latency_old;
        internal double latency_new;
        internal int outcome;
        internal int reserved;
        internal ReasonLayout reason;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct LinearLayout
    {
        internal UIntPtr struct_size;
        internal double accuracy_mean;
        internal double accuracy_deviation;
        internal double balanced_recall_mean;
        internal double balanced_recall_deviation;
        internal double auroc_mean;
        internal double auroc_deviation;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct LinearSgdLayout
    {
        internal UIntPtr struct_size;
        internal ulong images;
        internal ulong test_images;
        internal double accuracy;
        internal double top5_accuracy;
        internal double balanced_recall;
        internal double loss;
        internal double train_loss;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct SegmentationLayout
    {
        internal UIntPtr struct_size;
        internal double mean_iou_mean;
        internal double mean_iou_deviation;
        internal double accuracy_mean;
        internal double accuracy_deviation;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct DriftSignalLayout
    {
        internal UIntPtr struct_size;
        internal double energy;
        internal double threshold;
        internal double p_value;
        internal double nearest;
        internal double nearest_reference;
        internal double outside;
        internal int raised;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct IntervalLayout
    {
        internal double value;
        internal double low;
        internal double high;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct FidelityLayout
    {
        internal UIntPtr struct_size;
        internal UIntPtr frames;
        internal UIntPtr k;
        internal UIntPtr queue;
        internal double temperature_student;
        internal double temperature_teacher;
        internal IntervalLayout kl;
        internal IntervalLayout overlap;
        internal IntervalLayout cosine;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct GateOptionsLayout
    {
        internal UIntPtr struct_size;
        internal UIntPtr k;
        internal double temperature_student;
        internal double temperature_teacher;
        internal double kl_margin;
        internal double overlap_margin;
        internal double recall_margin;
        internal double latency_factor;
        internal ulong seed;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct MapOptionsLayout
    {
        internal UIntPtr struct_size;
        internal UIntPtr max_points;
        internal double perplexity;
        internal ulong seed;
        internal int method;
        internal int reserved;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct CriterionLayout
    {
        internal double old_value;
        internal double new_value;
        internal IntervalLayout difference;
        internal double limit;
        internal int holds;
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct VerdictLayout
    {
        internal UIntPtr struct_size;
        internal CriterionLayout kl;
        internal CriterionLayout overlap;
        internal CriterionLayout recall;
        internal CriterionLayout latency;
        internal int passes;
        internal int latency_unclear;
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

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int FitCallback(IntPtr progress, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int DistilCallback(IntPtr progress, IntPtr userData);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    internal delegate int NightCallback(IntPtr progress, IntPtr userData);
}
