using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    // Results of varying size: (buffer, capacity, out length) of seed.h.
    internal static class Filling
    {
        internal delegate IntPtr Ask(IntPtr buffer, UIntPtr capacity, out UIntPtr length);

        // Asks for the size, then gives a buffer. What grew in between is asked for again.
        internal static T[] Array<T>(Ask ask) where T : struct
        {
            UIntPtr length;
            SeedError.Check(ask(IntPtr.Zero, UIntPtr.Zero, out length));
            while (true)
            {
                if ((ulong)length > int.MaxValue)
                {
                    throw new SeedException(ErrorCode.OutOfMemory,
                        "the result has " + (ulong)length + " elements, more than an array can hold");
                }
                var buffer = new T[(int)length];
                SeedException error;
                // Of nothing too there is an address: the question for the size does not check everything.
                var pinned = GCHandle.Alloc(buffer.Length > 0 ? buffer : new T[1], GCHandleType.Pinned);
                try
                {
                    error = SeedError.Take(ask(pinned.AddrOfPinnedObject(), (UIntPtr)(uint)buffer.Length, out length));
                }
                finally
                {
                    pinned.Free();
                }
                if (error == null)
                {
                    if ((ulong)length < (ulong)buffer.Length)
                    {
                        System.Array.Resize(ref buffer, (int)length);
                    }
                    return buffer;
                }
                if (error.Code != ErrorCode.BufferTooSmall || (ulong)length <= (ulong)buffer.Length)
                {
                    throw error;
                }
            }
        }

        internal static string Text(Ask ask) => LibSeed.Text.FromNative(Array<byte>(ask));

        // A text as its lines; none of an empty one.
        internal static string[] Lines(Ask ask)
        {
            var text = Text(ask);
            return text.Length == 0 ? new string[0] : text.Split('\n');
        }
    }

    // Counts between .NET, which has int and long, and C, which has size_t.
    internal static class Size
    {
        internal static UIntPtr Of(long count, string name)
        {
            if (count < 0 || (UIntPtr.Size == 4 && count > uint.MaxValue))
            {
                throw new ArgumentOutOfRangeException(name, count, "expected a number from 0");
            }
            return (UIntPtr)(ulong)count;
        }

        internal static int Int(UIntPtr count) => checked((int)(ulong)count);
    }
}
