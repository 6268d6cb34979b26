using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// Files in memory, "memory://NAME", which all that takes the path of one file takes: models that come encrypted or from a
    /// database. What saves or exports to such a path leaves a file there.
    /// </summary>
    public static class MemoryFile
    {
        /// <summary>Puts a copy of the content behind the path; another one of that name is replaced whole.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for a path that is no "memory://NAME", <see cref="ErrorCode.Io"/> without
        /// memory or descriptors.
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
        /// <exception cref="SeedException"><see cref="ErrorCode.Io"/> where no file in memory has this name.</exception>
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

        /// <summary>Takes the name away; the memory is free when nothing has the file open any more.</summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Io"/> where no file in memory has this name.</exception>
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
