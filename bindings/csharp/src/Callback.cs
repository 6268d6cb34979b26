using System;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    // The .NET side of a C callback during one call. C gets a static delegate, which is never collected, and the number of
    // this object, which the number keeps alive until Dispose.
    internal sealed class Callback<T> : IDisposable
    {
        private readonly IProgress<T> progress;
        private GCHandle self;
        private ExceptionDispatchInfo thrown;
        private bool aborted;

        internal Callback(IProgress<T> progress)
        {
            this.progress = progress;
            if (progress != null)
            {
                self = GCHandle.Alloc(this);
            }
        }

        internal bool Wanted => progress != null;

        // Whether it has asked C to stop.
        internal bool Interrupted => thrown != null || aborted;

        internal IntPtr Number => Wanted ? GCHandle.ToIntPtr(self) : IntPtr.Zero;

        internal static Callback<T> Of(IntPtr number) => (Callback<T>)GCHandle.FromIntPtr(number).Target;

        // Tells C whether to stop. Nothing may be thrown through the frames of C: an exception is kept for Settle.
        internal int Report(Func<T> report)
        {
            try
            {
                progress.Report(report());
                return 0;
            }
            catch (ThreadAbortException)
            {
                // Mono and .NET Framework would throw it again at the end of this block. The thread is aborted by Settle.
                Thread.ResetAbort();
                aborted = true;
                return 1;
            }
            catch (Exception error)
            {
                thrown = ExceptionDispatchInfo.Capture(error);
                return 1;
            }
        }

        // Throws what the progress object has thrown, with its own stack, or else the library's error. Where both failed,
        // the library's error is in Data.
        internal void Settle(SeedException error)
        {
            if (aborted)
            {
                Thread.CurrentThread.Abort();
            }
            if (thrown != null)
            {
                if (error != null && error.Code != ErrorCode.Cancelled)
                {
                    thrown.SourceException.Data[typeof(SeedException).FullName] = error;
                }
                thrown.Throw();
            }
            if (error != null)
            {
                // The end of the process cancels what is under way: a call that has nothing to give then would end in an exception
                // that nobody handles.
                InFlight.StayWhenLeaving();
                throw error;
            }
        }

        public void Dispose()
        {
            if (self.IsAllocated)
            {
                self.Free();
            }
        }
    }

    // What C calls.
    internal static class Callbacks
    {
        internal static readonly ProgressCallback Training = (progress, number) =>
            Callback<TrainingProgress>.Of(number).Report(() => TrainingProgress.From(progress));

        internal static readonly BankCallback Filling = (progress, number) =>
            Callback<BankProgress>.Of(number).Report(() => BankProgress.From(progress));

        internal static readonly FitCallback Fitting = (progress, number) =>
            Callback<FitProgress>.Of(number).Report(() => FitProgress.From(progress));

        internal static readonly DistilCallback Distilling = (progress, number) =>
            Callback<DistilProgress>.Of(number).Report(() => DistilProgress.From(progress));

        internal static readonly NightCallback Nightly = (progress, number) =>
            Callback<NightProgress>.Of(number).Report(() => NightProgress.From(progress));

        internal static readonly CountCallback Counting = (done, total, number) =>
            Callback<CountProgress>.Of(number).Report(() => new CountProgress((long)done, (long)total));
    }
}
