using System;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// The library's own token that ends or pauses long calls at their next step. A run or filling that it ends has the outcome
    /// <see cref="Outcome.Cancelled"/> and throws nothing. One token may serve several calls and may be used again. Any number
    /// of threads may use it at once.
    /// </summary>
    /// <remarks>
    /// Where a <see cref="CancellationToken"/> is at hand and nothing is to be paused, give that to the calls. To have both:
    /// <c>cancellation.Register(token.Trigger)</c>.
    /// </remarks>
    public sealed class CancelToken : IDisposable
    {
        private readonly CancelTokenHandle handle;

        /// <summary>Makes a token that asks for nothing.</summary>
        public CancelToken()
        {
            handle = SeedHandle.Make<CancelTokenHandle>(Native.seed_cancel_token_new);
        }

        internal CancelTokenHandle Handle => handle.Alive(this);

        /// <summary>Asks the calls that hold the token to end, paused ones too. Does not wait for them.</summary>
        public void Trigger() => SeedError.Check(Native.seed_cancel_token_trigger(Handle));

        /// <summary>Takes <see cref="Trigger"/> back, so that the token can be used again.</summary>
        public void Reset() => SeedError.Check(Native.seed_cancel_token_reset(Handle));

        /// <summary>
        /// Asks the calls that hold the token to wait at their next step, idle, until <see cref="Resume"/> or
        /// <see cref="Trigger"/>. A call that begins later waits too. Does not wait itself.
        /// </summary>
        public void Pause() => SeedError.Check(Native.seed_cancel_token_pause(Handle));

        /// <summary>Lets paused calls go on.</summary>
        public void Resume() => SeedError.Check(Native.seed_cancel_token_resume(Handle));

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
