using System;
using System.Runtime.CompilerServices;
using System.Threading;

namespace LibSeed.Tests
{
    // Mono and .NET Framework can unload a part of the program while the library stays in the process.
    internal static class DomainTests
    {
        [Test]
        public static void DomainsAreUnloadedDuringCalls()
        {
            if (Type.GetType("Mono.Runtime") == null)
            {
                Expect.Throws<PlatformNotSupportedException>(() => AppDomain.CreateDomain("guest"));
                return;
            }
            for (var round = 0; round < 3; round++)
            {
                Visit("guest " + round);
                // Workers of the library must not call what is gone, nor has the run that was cut short left anything behind.
                GC.Collect();
                GC.WaitForPendingFinalizers();
                using (var trainer = Fixtures.NewTrainer())
                {
                    Expect.Equal(Outcome.Finished, trainer.Run());
                }
            }
        }

        // .NET has no such methods, and would look for them where they stand.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Visit(string name)
        {
            var guest = AppDomain.CreateDomain(name, null, AppDomain.CurrentDomain.SetupInformation);
            guest.DoCallBack(Work);
            AppDomain.Unload(guest);
        }

        // A log handler, objects that are forgotten, and a run that has no end.
        private static void Work()
        {
            long reports = 0;
            Log.SetHandler(LogLevel.Debug, (level, line) => GC.KeepAlive(line));
            new Queue(64, 64).Push(new Embeddings(new float[64], 64));
            var thread = new Thread(() => Fixtures.NewTrainer(1000000).Run(0,
                new DirectProgress<TrainingProgress>(p => Interlocked.Increment(ref reports)))) { IsBackground = true };
            thread.Start();
            Expect.Soon(() => Interlocked.Read(ref reports) > 1, "some steps");
            Fixtures.Clear();
        }
    }
}
