using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// In-memory files, named "memory://NAME". All that opens or saves one file accepts such a name: for models that come
    /// encrypted or from a database.
    /// </summary>
    public static class MemoryFile
    {
        /// <summary>Copies the content into the file; an existing one is replaced, and open readers keep the old content.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for a path that is no "memory://NAME",
        /// <see cref="ErrorCode.OutOfMemory"/>, <see cref="ErrorCode.Io"/> without a free descriptor.
        /// </exception>
        public static unsafe void Put(string path, ReadOnlySpan<byte> content)
        {
            Library.Initialize();
            using (InFlight.Begin())
            fixed (byte* start = &MemoryMarshal.GetReference(content))
            {
                SeedError.Check(Native.seed_memory_file_put(Text.ToNative(path, nameof(path)), start,
                    (UIntPtr)(uint)content.Length));
            }
        }

        /// <summary>The content of the file.</summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Io"/> where there is no such file,
        /// <see cref="ErrorCode.InvalidArgument"/> for another path.</exception>
        public static byte[] Get(string path)
        {
            Library.Initialize();
            var name = Text.ToNative(path, nameof(path));
            using (InFlight.Begin())
            {
                return Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_memory_file_get(name, buffer, capacity, out length));
            }
        }

        /// <summary>Removes the file. Its memory is released when the last reader closes it.</summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Io"/> where there is no such file,
        /// <see cref="ErrorCode.InvalidArgument"/> for another path.</exception>
        public static void Remove(string path)
        {
            Library.Initialize();
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_memory_file_remove(Text.ToNative(path, nameof(path))));
            }
        }
    }
}
