using System;
using System.IO;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class BankTests
    {
        // Eight images in more views than one chunk of 64 rows has, so that the filling can pause.
        private const long Views = 10;
        private const long Rows = 8 * Views;

        [Test]
        public static void BankStandsInForTheTeacher()
        {
            var file = Path.Combine(Fixtures.Folder(), "Bank ü.seedbank");
            using (var config = Fixtures.SmallConfig().Set("view_count", Views))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            {
                long rows = 0;
                Expect.Equal(Outcome.Paused, Bank.Fill(file, config, teacher, frames, 1));
                using (var begun = Bank.Open(file, teacher))
                using (var half = Teacher.FromBank(begun))
                using (var student = Fixtures.NewStudent(config))
                {
                    Expect.True(begun.FinishedRows >= 1 && begun.FinishedRows < Rows, begun.FinishedRows + " rows");
                    Expect.Fails(ErrorCode.Mismatch, () => new Trainer(config, student, half, frames));
                    Expect.Fails(ErrorCode.Busy, () => Bank.Fill(file, config, teacher, frames));
                }
                Expect.Equal(Outcome.Finished, Bank.Fill(file, config, teacher, frames, 0, new DirectProgress<BankProgress>(p =>
                {
                    Expect.True(p.Rows > rows && p.TotalRows == Rows && p.RowsPerSecond > 0 && p.TimeLeft >= TimeSpan.Zero &&
                        p.Elapsed > TimeSpan.Zero && p.WaitingShare >= 0 && p.WaitingShare <= 1 && p.SkippedImages == 0, "a sound report");
                    rows = p.Rows;
                })));
                Expect.Equal(Rows, rows);
                Expect.Equal(Bank.PredictSize(8, Views, Fixtures.Dim), new FileInfo(file).Length);
                using (var bank = Bank.Open(file))
                {
                    bank.Verify();
                    Expect.Equal(Rows, bank.FinishedRows);
                    Expect.Equal(Rows, bank.TotalRows);
                    Expect.Equal(8L, bank.Images);
                    Expect.Equal(Views, bank.Views);
                    Expect.Equal(Fixtures.Dim, bank.Dim);
                    Expect.Holds("\"", bank.Header);
                    using (var stored = Teacher.FromBank(bank))
                    {
                        Expect.Equal(Fixtures.Dim, stored.Dim);
                        Expect.Equal(0, stored.Warnings().Count);
                        Expect.Fails(ErrorCode.Unsupported, () => stored.ParameterCount.ToString());
                        Expect.Fails(ErrorCode.Unsupported, () => Session.FromTeacher(stored, config));
                        Expect.Fails(ErrorCode.Unsupported, () => Bank.Fill(file + ".2", config, stored, frames));
                        Bank.Open(file, stored).Dispose(); // of the same teacher
                        bank.Dispose();                    // the teacher holds it
                        Expect.Near(Loss(config, teacher, frames), Loss(config, stored, frames, true), 2e-3);
                    }
                    Expect.Throws<ObjectDisposedException>(() => Teacher.FromBank(bank));
                }
            }
        }

        private static double Loss(Config config, Teacher teacher, Dataset frames, bool isStored = false)
        {
            var losses = 0.0;
            using (var student = Fixtures.NewStudent(config))
            using (var trainer = new Trainer(config, student, teacher, frames))
            {
                Expect.Equal(Outcome.Finished, trainer.Run(0, new DirectProgress<TrainingProgress>(p => losses += p.Step == 0 ? 0 : p.Loss)));
                if (isStored)
                {
                    Expect.Throws<SeedException>(() => trainer.Step(Fixtures.Striped(2)));
                    Expect.Fails(ErrorCode.InvalidArgument, () => new Trainer(config, student, teacher));
                }
            }
            return losses / 6;
        }

        [Test]
        public static void FillingIsCancelled()
        {
            var file = Path.Combine(Fixtures.Folder(), "bank");
            using (var config = Fixtures.SmallConfig().Set("view_count", 60))
            using (var teacher = Fixtures.NewTeacher(config))
            using (var frames = Fixtures.Frames())
            using (var source = new CancellationTokenSource())
            {
                Expect.Throws<OperationCanceledException>(() => Bank.Fill(file, config, teacher, frames, 0,
                    new DirectProgress<BankProgress>(p => source.Cancel()), source.Token));
                Expect.Throws<InvalidOperationException>(() => Bank.Fill(file, config, teacher, frames, 0,
                    new DirectProgress<BankProgress>(p => throw new InvalidOperationException())));
                Expect.Equal(Outcome.Finished, Bank.Fill(file, config, teacher, frames));
            }
        }

        [Test]
        public static void WrongBanksAreRefused()
        {
            var file = Path.Combine(Fixtures.Folder(), "bank");
            Expect.Fails(ErrorCode.Io, () => Bank.Open(file));
            File.WriteAllText(file, "no bank, but long enough to be looked at: " + new string('x', 10000));
            Expect.Fails(ErrorCode.Format, () => Bank.Open(file));
            Expect.Fails(ErrorCode.InvalidArgument, () => Bank.PredictSize(0, 1, 1));
            Expect.Fails(ErrorCode.InvalidArgument, () => Bank.PredictSize(long.MaxValue, 1, 1));
            Expect.Throws<ArgumentOutOfRangeException>(() => Bank.PredictSize(1, -1, 1));
            Expect.Throws<ArgumentNullException>(() => Teacher.FromBank(null));
        }
    }
}
