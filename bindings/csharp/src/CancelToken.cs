using System;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// The library's own flag that ends runs at their next step, with the outcome <see cref="Outcome.Cancelled"/> and without
    /// an exception. One token may serve several calls and may be used again. Where a <see cref="CancellationToken"/> is at
    /// hand, use that. Any number of threads may use it at once.
    /// </summary>
    public sealed class CancelToken : IDisposable
    {
        private readonly CancelTokenHandle handle;

        /// <summary>Makes a token whose flag is down.</summary>
        public CancelToken()
        {
            handle = SeedHandle.Make<CancelTokenHandle>(Native.seed_cancel_token_new);
        }

        internal CancelTokenHandle Handle => handle.Alive(this);

        /// <summary>Raises the flag. Never waits.</summary>
        public void Trigger() => SeedError.Check(Native.seed_cancel_token_trigger(Handle));

        /// <summary>Lowers the flag, so that the token can be used again.</summary>
        public void Reset() => SeedError.Check(Native.seed_cancel_token_reset(Handle));

        /// <summary>Releases the token. A call that was given it keeps what it needs.</summary>
        public void Dispose() => handle.Dispose();
    }

    // A token of C that a CancellationToken triggers during one call; the end of the process does too.
    internal sealed class Cancellation : IDisposable
    {
        private readonly CancelTokenHandle handle = SeedHandle.Make<CancelTokenHandle>(Native.seed_cancel_token_new);
        private CancellationTokenRegistration registration;

        // A token that was cancelled before triggers at once, so that not a single step is made.
        internal Cancellation(CancellationToken token)
        {
            registration = token.Register(Trigger);
        }

        internal CancelTokenHandle Handle => handle;

        // The registration goes first; that waits for a trigger that is under way in another thread, which is short.
        public void Dispose()
        {
            registration.Dispose();
            handle.Dispose();
        }

        // It runs inside of CancellationTokenSource.Cancel, which is not the place to hear of the library's troubles.
        private void Trigger()
        {
            try
            {
                SeedError.Take(Native.seed_cancel_token_trigger(handle));
            }
            catch (ObjectDisposedException)
            {
                // The call has ended.
            }
        }
    }
}
