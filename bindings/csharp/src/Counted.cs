using System;
using System.Runtime.ExceptionServices;
using System.Threading;

namespace LibSeed
{
    // Calls that report how much is done, that a token may end, and that have no result then.
    internal static class Counted
    {
        internal delegate IntPtr Call(CountCallback callback, IntPtr number, CancelTokenHandle cancel);

        internal static void Run(IProgress<CountProgress> progress, CancellationToken cancellation, Call call)
        {
            using (var link = new Cancellation(cancellation))
            {
                try
                {
                    Run(progress, link.Handle, call);
                }
                catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                    throw;
                }
            }
        }

        internal static void Run(IProgress<CountProgress> progress, CancelTokenHandle cancel, Call call)
        {
            ExceptionDispatchInfo ended = null;
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<CountProgress>(progress))
            {
                try
                {
                    callback.Settle(SeedError.Take(call(callback.Wanted ? Callbacks.Counting : null, callback.Number, cancel)));
                }
                catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                {
                    ended = ExceptionDispatchInfo.Capture(error);
                }
            }
            // It may be the end of the process that has cancelled.
            InFlight.StayWhenLeaving();
            ended?.Throw();
        }
    }
}
