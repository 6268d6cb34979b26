using System;
using System.Threading;

namespace LibSeed.Tests
{
    // Ways to end a program in the middle of calls. All of them have a log handler and leave objects behind.
    internal static class Leaving
    {
        private const long Endless = 1000000;

        // What such a program ends with.
        internal const int Code = 7;

        // Returns when it is time for Main to return.
        internal static void By(string way)
        {
            int lines = 0, reports = 0;
            Log.SetHandler(LogLevel.Debug, (level, line) => Interlocked.Increment(ref lines));
            new Queue(64, 64);
            new Dataset().Push(Fixtures.Striped(1));
            switch (way)
            {
                case "run":
                    // As tasks and threads of a pool, this one does not keep the program alive.
                    Background(() => Fixtures.NewTrainer(Endless).Run(0,
                        new DirectProgress<TrainingProgress>(p => Interlocked.Increment(ref reports))));
                    break;
                case "embed":
                    Background(() =>
                    {
                        var frames = Fixtures.Frames(64);
                        while (true)
                        {
                            Fixtures.TellingSession.Embed(frames,
                                new DirectProgress<CountProgress>(p => Interlocked.Increment(ref reports)));
                        }
                    });
                    break;
                case "images":
                    Background(() =>
                    {
                        while (true)
                        {
                            Fixtures.TellingSession.Embed(Fixtures.Striped(2));
                            Interlocked.Increment(ref reports);
                        }
                    });
                    break;
                case "bank":
                    Background(() =>
                    {
                        var bank = System.IO.Path.Combine(Fixtures.Folder(), "bank");
                        using (var config = Fixtures.SmallConfig().Set("view_count", 1000))
                        {
                            Bank.Fill(bank, config, Fixtures.NewTeacher(config), Fixtures.Frames(), 0,
                                new DirectProgress<BankProgress>(p => Interlocked.Increment(ref reports)));
                        }
                    });
                    break;
                case "fit":
                    Background(() =>
                    {
                        var labels = new long[] { 0, 1, 0, 1, 0, 1, 0, 1 };
                        using (var config = Fixtures.SmallConfig().Set("finetune.mode", "full"))
                        {
                            while (true)
                            {
                                Classifier.Fit(config, Fixtures.NewStudent(config), Fixtures.Frames(), labels, new[] { "a", "b" }, null,
                                    new DirectProgress<FitProgress>(p => Interlocked.Increment(ref reports)));
                            }
                        }
                    });
                    break;
                case "store":
                    Background(() =>
                    {
                        var store = Store.Open(System.IO.Path.Combine(Fixtures.Folder(), "frames.store"));
                        while (true)
                        {
                            store.Push(Fixtures.Striped(2), null, Timeout.InfiniteTimeSpan);
                            Interlocked.Increment(ref reports);
                        }
                    });
                    break;
                case "paused":
                    var token = new CancelToken();
                    Background(() => Fixtures.NewTrainer(Endless).Run(token, 0, new DirectProgress<TrainingProgress>(p =>
                    {
                        if (Interlocked.Increment(ref reports) == 22)
                        {
                            token.Pause();
                        }
                    })));
                    break;
                case "callback":
                    Fixtures.NewTrainer(Endless).Run(0, new DirectProgress<TrainingProgress>(p =>
                    {
                        Environment.Exit(Code);
                    }));
                    break;
                default:
                    throw new ArgumentException("no such way to leave: " + way);
            }
            // Not in the first calls: libtorch makes its tables then (docs/safety.md).
            Expect.Soon(() => Volatile.Read(ref reports) > 20, "some calls");
        }

        private static void Background(ThreadStart calls) => new Thread(calls) { IsBackground = true }.Start();
    }
}
