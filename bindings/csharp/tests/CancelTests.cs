using System;
using System.Threading;
using System.Threading.Tasks;

namespace LibSeed.Tests
{
    internal static class CancelTests
    {
        private const long Endless = 1000000;

        [Test]
        public static void CancelledTokenMakesNoStep()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var source = new CancellationTokenSource())
            {
                source.Cancel();
                var error = Expect.Throws<OperationCanceledException>(() => trainer.Run(0, null, source.Token));
                Expect.Equal(source.Token, error.CancellationToken);
                Expect.Equal(0L, trainer.StepsMade);
            }
        }

        [Test]
        public static void TokenEndsARunFromItsCallback()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var source = new CancellationTokenSource())
            {
                Expect.Throws<OperationCanceledException>(() => trainer.Run(0, new DirectProgress<TrainingProgress>(p =>
                {
                    if (p.Step == 3)
                    {
                        source.Cancel();
                    }
                }), source.Token));
                Expect.Equal(3L, trainer.StepsMade);
                Expect.Equal(Outcome.Paused, trainer.Run(2));
                Expect.Equal(5L, trainer.StepsMade);
            }
        }

        [Test]
        public static void TokenEndsARunFromAnotherThread()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var source = new CancellationTokenSource())
            {
                var run = Task.Run(() => trainer.Run(0, null, source.Token), source.Token);
                source.CancelAfter(200);
                Expect.Throws<AggregateException>(() => run.Wait());
                Expect.Equal(TaskStatus.Canceled, run.Status);
            }
        }

        [Test]
        public static void TokenEndsEmbedding()
        {
            using (var frames = Fixtures.Frames(64))
            using (var source = new CancellationTokenSource())
            {
                var error = Expect.Throws<OperationCanceledException>(() => Fixtures.TellingSession.Embed(frames,
                    new DirectProgress<CountProgress>(p => source.Cancel()), source.Token));
                Expect.Equal(source.Token, error.CancellationToken);
            }
        }

        [Test]
        public static void OwnTokenEndsARunWithoutException()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var token = new CancelToken())
            {
                Expect.Equal(Outcome.Cancelled, trainer.Run(token, 0, new DirectProgress<TrainingProgress>(p =>
                {
                    if (p.Step == 1)
                    {
                        token.Trigger();
                    }
                })));
                Expect.Equal(1L, trainer.StepsMade);
                Expect.Equal(Outcome.Cancelled, trainer.Run(token));
                Expect.Equal(1L, trainer.StepsMade);
                token.Reset();
                Expect.Equal(Outcome.Paused, trainer.Run(token, 2));
                Expect.Equal(3L, trainer.StepsMade);
                Expect.Throws<ArgumentNullException>(() => trainer.Run((CancelToken)null));
            }
        }

        // Waits until a number no longer grows and tells what it is.
        private static long Stands(Func<long> number)
        {
            for (var i = 0; i < 200; i++)
            {
                var before = number();
                Thread.Sleep(300);
                if (number() == before)
                {
                    return before;
                }
            }
            throw new Exception("the call was not paused");
        }

        [Test]
        public static void PausedRunsWait()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var token = new CancelToken())
            {
                long steps = 0;
                token.Pause();
                var run = Task.Run(() => trainer.Run(token, 0,
                    new DirectProgress<TrainingProgress>(p => Volatile.Write(ref steps, p.Step))));
                Expect.Equal(0L, Stands(() => Volatile.Read(ref steps)));
                token.Resume();
                Expect.Soon(() => Volatile.Read(ref steps) > 2, "some steps");
                token.Pause();
                var paused = Stands(() => Volatile.Read(ref steps));
                Expect.True(paused > 2 && !run.IsCompleted, "a run that waits");
                token.Resume();
                Expect.Soon(() => Volatile.Read(ref steps) > paused, "further steps");
                token.Pause();
                token.Trigger();
                Expect.Equal(Outcome.Cancelled, run.Result);
            }
        }

        [Test]
        public static void EmbeddingAndFillingArePausedAndEnded()
        {
            using (var config = Fixtures.SmallConfig().Set("view_count", 20))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames(200))
            using (var token = new CancelToken())
            {
                long done = 0;
                var call = Task.Run(() => Fixtures.TellingSession.Embed(token, frames, new DirectProgress<CountProgress>(p =>
                {
                    if (Interlocked.Exchange(ref done, p.Done) == 0)
                    {
                        token.Pause();
                    }
                })));
                Expect.Soon(() => Volatile.Read(ref done) > 0, "some images");
                Expect.True(Stands(() => Volatile.Read(ref done)) < 200, "images that are left");
                token.Resume();
                Expect.Equal(200, call.Result.Count);
                token.Trigger();
                Expect.Fails(ErrorCode.Cancelled, () => Fixtures.TellingSession.Embed(token, frames));

                var file = System.IO.Path.Combine(Fixtures.Folder(), "bank");
                token.Reset();
                Expect.Equal(Outcome.Cancelled, Bank.Fill(token, file, config, teacher, frames, 0,
                    new DirectProgress<BankProgress>(p => token.Trigger())));
                token.Reset();
                Expect.Equal(Outcome.Paused, Bank.Fill(token, file, config, teacher, frames, 1));
            }
        }

        // A token of the library that follows one of .NET.
        [Test]
        public static void BothTokensTogether()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var source = new CancellationTokenSource())
            using (var token = new CancelToken())
            using (source.Token.Register(token.Trigger))
            {
                token.Pause();
                var run = Task.Run(() => trainer.Run(token));
                source.Cancel();
                Expect.Equal(Outcome.Cancelled, run.Result);
                Expect.Equal(0L, trainer.StepsMade);
            }
        }

        // A token that is disposed of during its run is there until the run ends.
        [Test]
        public static void TokensMayGoDuringTheirRun()
        {
            using (var trainer = Fixtures.NewTrainer())
            {
                var token = new CancelToken();
                Expect.Equal(Outcome.Finished, trainer.Run(token, 0, new DirectProgress<TrainingProgress>(p => token.Dispose())));
                Expect.Throws<ObjectDisposedException>(() => token.Trigger());
            }
        }

        // One source that outlives many calls gathers nothing.
        [Test]
        public static void RunsLeaveNothingBehind()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            using (var source = new CancellationTokenSource())
            {
                var before = SeedHandle.Open;
                for (var i = 0; i < 20; i++)
                {
                    trainer.Run(1, null, source.Token);
                }
                Expect.True(SeedHandle.Open <= before, "no token is left");
                source.Cancel();
            }
        }

        // Cancel may come at any moment of a call, its very end included.
        [Test]
        public static void CancelMeetsTheEndOfCalls()
        {
            using (var trainer = Fixtures.NewTrainer(Endless))
            {
                for (var i = 0; i < 40; i++)
                {
                    using (var source = new CancellationTokenSource())
                    {
                        var cancel = Task.Run(() =>
                        {
                            Thread.Sleep(i / 2);
                            source.Cancel();
                        });
                        try
                        {
                            Expect.Equal(Outcome.Paused, trainer.Run(1, null, source.Token));
                        }
                        catch (OperationCanceledException)
                        {
                        }
                        cancel.Wait();
                    }
                }
            }
        }
    }
}
