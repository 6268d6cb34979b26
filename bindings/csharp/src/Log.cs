using System;
using System.Threading;

namespace LibSeed
{
    /// <summary>How much is logged; a level includes those before it.</summary>
    public enum LogLevel
    {
        /// <summary>Nothing.</summary>
        Off = 0,
        /// <summary>Errors that no exception can carry.</summary>
        Error = 1,
        /// <summary>Broken images and the like.</summary>
        Warn = 2,
        /// <summary>What was loaded, recognised, chosen.</summary>
        Info = 3,
        /// <summary>Details for finding faults.</summary>
        Debug = 4,
    }

    /// <summary>The library's log.</summary>
    public static class Log
    {
        // C may call it at any moment from now on, so it is never collected.
        private static readonly LogCallback OnLine = Line;
        private static readonly object Lock = new object();
        private static Action<LogLevel, string> handler;
        private static Exception failure;
        private static bool leaving;

        /// <summary>
        /// What a handler has thrown; null when none did. Such a handler was taken away. Setting a handler clears it.
        /// </summary>
        public static Exception Failure => Volatile.Read(ref failure);

        /// <summary>
        /// Sends log lines up to a level to a handler from now on; null or <see cref="LogLevel.Off"/> ends it. The handler is
        /// called on any thread, possibly on several at once, and must not call this library. A line that is on its way may
        /// still arrive just after this call, at the new handler.
        /// </summary>
        public static void SetHandler(LogLevel level, Action<LogLevel, string> handler)
        {
            lock (Lock)
            {
                if (handler == null)
                {
                    level = LogLevel.Off;
                }
                var before = Interlocked.Exchange(ref Log.handler, handler);
                try
                {
                    SeedError.Check(Library.Reached(() => Native.seed_log_set_callback((int)level, OnLine, IntPtr.Zero)));
                }
                catch
                {
                    Volatile.Write(ref Log.handler, before);
                    throw;
                }
                Volatile.Write(ref failure, null);
                if (!leaving)
                {
                    // The library outlives this domain, and its workers must not call what is gone.
                    leaving = true;
                    AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Leave();
                    AppDomain.CurrentDomain.DomainUnload += (sender, arguments) => Leave();
                }
            }
        }

        /// <summary>
        /// Writes log lines to standard error from now on, chosen by a filter, such as "info" or "warn".
        /// </summary>
        public static void ToStandardError(string filter)
        {
            var text = Text.ToNative(filter, nameof(filter));
            SeedError.Check(Library.Reached(() => Native.seed_log_to_stderr(text)));
        }

        private static void Leave() => SeedError.Take(Native.seed_log_set_callback((int)LogLevel.Off, null, IntPtr.Zero));

        // Nothing may be thrown through the frames of C.
        private static void Line(int level, IntPtr message, IntPtr userData)
        {
            var receiver = Volatile.Read(ref handler);
            try
            {
                receiver?.Invoke((LogLevel)level, Text.FromNative(message));
            }
            catch (ThreadAbortException error)
            {
                Thread.ResetAbort();
                Drop(receiver, error);
            }
            catch (Exception error)
            {
                Drop(receiver, error);
            }
        }

        private static void Drop(Action<LogLevel, string> receiver, Exception error)
        {
            Interlocked.CompareExchange(ref handler, null, receiver);
            Interlocked.CompareExchange(ref failure, error, null);
        }
    }
}
