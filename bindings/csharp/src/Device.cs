using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>How memory of this process and of a device is used, in bytes.</summary>
    public sealed class MemoryUse
    {
        internal MemoryUse(MemoryLayout from)
        {
            Process = checked((long)from.process_bytes);
            ProcessPeak = checked((long)from.process_peak_bytes);
            DeviceFree = checked((long)from.device_free_bytes);
            DeviceTotal = checked((long)from.device_total_bytes);
            DeviceTaken = checked((long)from.device_taken_bytes);
        }

        /// <summary>Main memory that this process holds now.</summary>
        public long Process { get; }

        /// <summary>The most that it has held so far.</summary>
        public long ProcessPeak { get; }

        /// <summary>
        /// Free on the device; of main memory what can be had without swapping. A container's own limit is not seen.
        /// </summary>
        public long DeviceFree { get; }

        /// <summary>All of the device.</summary>
        public long DeviceTotal { get; }

        /// <summary>Taken on the device by this process's tensors; for "cpu", <see cref="Process"/>.</summary>
        public long DeviceTaken { get; }
    }

    /// <summary>What can compute: "cpu", "cuda:N", or "auto" for the best of them.</summary>
    public static class Device
    {
        /// <summary>
        /// The number of CUDA devices that can be used, "cuda:0" and on; 0 where there is none or libtorch_cuda was not found.
        /// </summary>
        public static int Count
        {
            get
            {
                Library.Initialize();
                uint count;
                SeedError.Check(Native.seed_device_count(out count));
                return checked((int)count);
            }
        }

        /// <summary>The product name of a device.</summary>
        public static string Name(string device = "auto")
        {
            var name = Text.ToNative(device, nameof(device));
            Library.Initialize();
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_device_name(name, buffer, capacity, out length));
        }

        /// <summary>How memory is used by this process and on a device.</summary>
        public static MemoryUse Memory(string device = "auto")
        {
            var name = Text.ToNative(device, nameof(device));
            Library.Initialize();
            var memory = new MemoryLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(MemoryLayout)) };
            SeedError.Check(Native.seed_memory_use(name, ref memory));
            return new MemoryUse(memory);
        }
    }
}
