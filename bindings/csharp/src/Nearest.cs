using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What is nearest to some queries: a list for each, nearest first.</summary>
    public sealed class Nearest
    {
        internal delegate IntPtr Call(IntPtr indices, IntPtr cosines, UIntPtr capacity);

        private Nearest(uint[][] indices, float[][] cosines)
        {
            Indices = indices;
            Cosines = cosines;
        }

        /// <summary>Numbers of rows.</summary>
        public uint[][] Indices { get; }

        /// <summary>As many similarities, −1 to 1.</summary>
        public float[][] Cosines { get; }

        // Makes a call that fills two tables of count·k numbers. The question for the size checks k, before memory is taken.
        internal static Nearest Ask(int count, int k, Call call)
        {
            SeedError.Check(call(IntPtr.Zero, IntPtr.Zero, UIntPtr.Zero));
            var indices = new uint[checked(count * k)];
            var cosines = new float[indices.Length];
            var left = GCHandle.Alloc(indices, GCHandleType.Pinned);
            var right = GCHandle.Alloc(cosines, GCHandleType.Pinned);
            try
            {
                SeedError.Check(call(left.AddrOfPinnedObject(), right.AddrOfPinnedObject(), (UIntPtr)(uint)indices.Length));
            }
            finally
            {
                right.Free();
                left.Free();
            }
            return new Nearest(InRows(indices, count, k), InRows(cosines, count, k));
        }

        // Cuts a table of count·k values into its rows.
        internal static T[][] InRows<T>(T[] values, int count, int k)
        {
            var rows = new T[count][];
            for (var i = 0; i < count; i++)
            {
                rows[i] = new T[k];
                Array.Copy(values, i * k, rows[i], 0, k);
            }
            return rows;
        }
    }
}
