using System;
using System.Collections.Generic;
using System.Threading;

namespace LibSeed
{
    // The calls that compute, from Begin to Dispose, and what becomes of them when the process ends.
    //
    // A process ends while tasks and background threads run on. The library itself holds their calls then (docs/safety.md), but a
    // run that is cancelled before saves its checkpoint. So the end of the process cancels what can be cancelled and waits for a
    // moment; threads that return meanwhile stay here, since what they would do next is too late.
    internal struct InFlight : IDisposable
    {
        // Mono aborts the threads itself, but waits for those that are in a catch or finally block, so none may stay there.
        private static readonly bool Aborting = Type.GetType("Mono.Runtime") != null;
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(.5);
        private static readonly TimeSpan Grace = TimeSpan.FromSeconds(5);
        private static readonly List<CancelTokenHandle> Tokens = new List<CancelTokenHandle>();
        private static int calls;
        private static bool watching;
        private static Thread leaver;
        private static bool left;

        // A callback may make calls inside of its call.
        [ThreadStatic]
        private static int depth;

        private readonly CancelTokenHandle token;

        private InFlight(CancelTokenHandle token)
        {
            this.token = token;
        }

        internal static InFlight Begin(CancelTokenHandle token = null)
        {
            if (depth == 0)
            {
                StayWhenLeaving();
            }
            lock (Tokens)
            {
                if (!watching)
                {
                    watching = true;
                    AppDomain.CurrentDomain.ProcessExit += (sender, arguments) => Leave();
                    AppDomain.CurrentDomain.DomainUnload += (sender, arguments) => Leave();
                }
                calls++;
                if (token != null)
                {
                    Tokens.Add(token);
                    if (leaver != null)
                    {
                        Trigger(token);
                    }
                }
            }
            depth++;
            return new InFlight(token);
        }

        public void Dispose()
        {
            depth--;
            lock (Tokens)
            {
                calls--;
                if (token != null)
                {
                    Tokens.Remove(token);
                }
                Monitor.PulseAll(Tokens);
            }
            if (depth == 0 && !Aborting)
            {
                StayWhenLeaving();
            }
        }

        // A callback may end the process; its own call cannot be waited for.
        private static void Leave()
        {
            lock (Tokens)
            {
                leaver = Thread.CurrentThread;
                Tokens.ForEach(Trigger);
                var end = DateTime.UtcNow + Patience;
                for (var time = Patience; calls > depth && time > TimeSpan.Zero; time = end - DateTime.UtcNow)
                {
                    Monitor.Wait(Tokens, time);
                }
                left = true;
            }
        }

        // Keeps a thread from going on. Not to be called in a catch or finally block of ours; in one of the application's, mono's
        // threads go on after a while, since mono waits for them.
        internal static void StayWhenLeaving()
        {
            var other = Volatile.Read(ref leaver);
            if (other == null || other == Thread.CurrentThread)
            {
                return;
            }
            if (!Aborting)
            {
                Thread.Sleep(Timeout.Infinite);
            }
            while (!Volatile.Read(ref left))
            {
                Thread.Sleep(5);
            }
            Thread.Sleep(Grace);
        }

        private static void Trigger(CancelTokenHandle token)
        {
            try
            {
                SeedError.Take(Native.seed_cancel_token_trigger(token));
            }
            catch (ObjectDisposedException)
            {
                // Its call goes on without it.
            }
        }
    }
}
