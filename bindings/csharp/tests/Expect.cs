using System;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class Expect
    {
        internal static void True(bool fact, string message)
        {
            if (!fact)
            {
                throw new Exception("expected: " + message);
            }
        }

        internal static void Equal<T>(T expected, T found)
        {
            if (!Equals(expected, found))
            {
                throw new Exception("expected " + expected + ", found " + found);
            }
        }

        internal static void Near(double expected, double found, double tolerance)
        {
            if (!(Math.Abs(expected - found) <= tolerance))
            {
                throw new Exception("expected " + expected + " ± " + tolerance + ", found " + found);
            }
        }

        internal static void Holds(string part, string text)
        {
            if (text.IndexOf(part, StringComparison.Ordinal) < 0)
            {
                throw new Exception("expected \"" + part + "\" in: " + text);
            }
        }

        // The exception of exactly this type that an action throws.
        internal static T Throws<T>(Action action) where T : Exception
        {
            try
            {
                action();
            }
            catch (Exception error) when (error.GetType() == typeof(T))
            {
                return (T)error;
            }
            throw new Exception("expected a " + typeof(T).Name + ", found no exception");
        }

        internal static SeedException Fails(ErrorCode code, Action action)
        {
            var error = Throws<SeedException>(action);
            if (error.Code != code)
            {
                throw new Exception("expected " + code + ", found " + error.Code + ": " + error.Message);
            }
            True(error.Message.Length > 0, "a message");
            return error;
        }

        // Waits for another thread or the garbage collector, twenty seconds at most.
        internal static void Soon(Func<bool> fact, string message)
        {
            for (var i = 0; i < 2000; i++)
            {
                if (fact())
                {
                    return;
                }
                Thread.Sleep(10);
            }
            throw new Exception("expected soon: " + message);
        }
    }
}
