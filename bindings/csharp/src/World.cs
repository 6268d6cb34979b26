using System;

namespace LibSeed
{
    /// <summary>
    /// Several processes that make one run together, of which this is one; each has a rank from 0 on. One trainer at a time works
    /// with it.
    /// </summary>
    public sealed class World : IDisposable
    {
        private readonly WorldHandle handle;

        /// <summary>
        /// Joins, as <paramref name="rank"/> of <paramref name="size"/> processes, those that give the same address, and waits until
        /// all have joined. The address is "host:port" of rank 0, which listens there, an address of its machine that the others can
        /// reach; or "file:PATH" for processes of one machine: rank 0 chooses a free port and writes it to that file. Further ports
        /// are the system's choice. Nothing is encrypted and nobody is asked for a password: use it in a network that you trust.
        /// </summary>
        /// <param name="rank">The number of this process, from 0.</param>
        /// <param name="size">How many processes there are.</param>
        /// <param name="address">Where rank 0 is.</param>
        /// <param name="timeout">
        /// How long the others are waited for, here and whenever an answer of theirs is needed; zero, the default, is ten minutes.
        /// </param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for a rank, size or address that cannot be, and a rank that another process has;
        /// <see cref="ErrorCode.Mismatch"/> where processes disagree about the size or run different versions of the library;
        /// <see cref="ErrorCode.Io"/> where the address cannot be listened at or reached, and where not all have joined in time.
        /// </exception>
        public World(int rank, int size, string address, TimeSpan timeout = default(TimeSpan))
        {
            if (rank < 0 || size < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(rank), rank, "expected a rank and a size from 0");
            }
            if (timeout < TimeSpan.Zero || (timeout > TimeSpan.Zero && timeout < TimeSpan.FromMilliseconds(1)))
            {
                throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "expected zero or a millisecond at least");
            }
            var place = Text.ToNative(address, nameof(address));
            using (InFlight.Begin())
            {
                handle = SeedHandle.Make<WorldHandle>((out IntPtr result) =>
                    Native.seed_world_new((uint)rank, (uint)size, place, (ulong)timeout.TotalMilliseconds, out result));
            }
        }

        internal WorldHandle Handle => handle.Alive(this);

        /// <summary>The number of this process, from 0.</summary>
        public int Rank
        {
            get
            {
                uint rank, size;
                SeedError.Check(Native.seed_world_position(Handle, out rank, out size));
                return (int)rank;
            }
        }

        /// <summary>How many processes there are.</summary>
        public int Size
        {
            get
            {
                uint rank, size;
                SeedError.Check(Native.seed_world_position(Handle, out rank, out size));
                return (int)size;
            }
        }

        /// <summary>Leaves the others. A trainer that was given the world keeps it until it is disposed itself.</summary>
        public void Dispose() => handle.Dispose();
    }
}
