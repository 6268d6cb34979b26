using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>From frames and a teacher to a student in one call.</summary>
    public static class Distillation
    {
        /// <summary>
        /// Makes a student in about the given time and writes student.safetensors and report.html to a folder. No setting is needed:
        /// both networks are measured for a moment, and size of the images, views, batch, learning rate, queue and epochs follow
        /// from the frames, this machine and the time. No label is used to learn; where the frames lie in folders of classes, these
        /// tell how good the student is. A call that was ended, or killed, left its work in the folder, and the same call goes on
        /// with it. docs/distil.md has the details.
        /// </summary>
        /// <param name="dataset">The frames.</param>
        /// <param name="teacher">Whom the student follows.</param>
        /// <param name="architecture">The student's, one of <see cref="Model.Architectures"/>.</param>
        /// <param name="time">How long the call is to take, from a second on.</param>
        /// <param name="folder">Where the results go; made where there is none.</param>
        /// <param name="weights">
        /// A file that the student starts from, as for <see cref="Student.LoadWeights"/>; null: random weights.
        /// </param>
        /// <param name="config">What is set here by its key is kept; the plan chooses the rest. May be null.</param>
        /// <param name="progress">Receives reports on this thread; what it throws ends the call and is thrown by this method.</param>
        /// <param name="cancellation">Ends the call; the same call goes on later.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an empty data set or a time below a second; <see cref="ErrorCode.Busy"/> where
        /// another call works in the folder; <see cref="ErrorCode.Mismatch"/> where it holds unfinished work of another run;
        /// <see cref="ErrorCode.Io"/>; those of <see cref="Student.LoadWeights"/>.
        /// </exception>
        public static Distilled Run(Dataset dataset, Teacher teacher, string architecture, TimeSpan time, string folder,
            string weights = null, Config config = null, IProgress<DistilProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            using (var link = new Cancellation(cancellation))
            {
                var distilled = Run(dataset, teacher, architecture, time, folder, weights, config, progress, link.Handle);
                if (cancellation.IsCancellationRequested && distilled.Summary().Outcome == Outcome.Cancelled)
                {
                    distilled.Dispose();
                    cancellation.ThrowIfCancellationRequested();
                }
                return distilled;
            }
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the call; the outcome is <see cref="Outcome.Cancelled"/> when it
        /// has ended it, and nothing is thrown.
        /// </summary>
        public static Distilled Run(CancelToken cancel, Dataset dataset, Teacher teacher, string architecture, TimeSpan time,
            string folder, string weights = null, Config config = null, IProgress<DistilProgress> progress = null)
        {
            return Run(dataset, teacher, architecture, time, folder, weights, config, progress,
                Given.Object(cancel, nameof(cancel)).Handle);
        }

        private static Distilled Run(Dataset dataset, Teacher teacher, string architecture, TimeSpan time, string folder,
            string weights, Config config, IProgress<DistilProgress> progress, CancelTokenHandle cancel)
        {
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            var master = Given.Object(teacher, nameof(teacher)).Handle;
            var name = Text.ToNative(architecture, nameof(architecture));
            var place = Text.ToNative(folder, nameof(folder));
            var start = weights == null ? null : Text.ToNative(weights, nameof(weights));
            var settings = config == null ? ConfigHandle.None : config.Handle;
            DistilledHandle made = null;
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<DistilProgress>(progress))
            {
                try
                {
                    var error = IntPtr.Zero;
                    made = SeedHandle.MakeOr<DistilledHandle>((out IntPtr result) => error = Native.seed_distil(images, master, name,
                        start, time.TotalSeconds, place, settings, callback.Wanted ? Callbacks.Distilling : null, callback.Number,
                        cancel, out result));
                    callback.Settle(SeedError.Take(error));
                }
                catch
                {
                    made?.Dispose();
                    throw;
                }
            }
            InFlight.StayWhenLeaving();
            return new Distilled(made);
        }
    }

    /// <summary>What <see cref="Distillation"/> made. Any number of threads may use it at once.</summary>
    public sealed class Distilled : IDisposable
    {
        private readonly DistilledHandle handle;

        internal Distilled(DistilledHandle handle)
        {
            this.handle = handle;
        }

        internal DistilledHandle Handle => handle.Alive(this);

        /// <summary>
        /// The student that was made; of a call that was cancelled, as far as it is. It is a new object each time, to be disposed of,
        /// and stays when this one is disposed of.
        /// </summary>
        public Student Student() => new Student(SeedHandle.Make<StudentHandle>((out IntPtr result) =>
            Native.seed_distilled_student(Handle, out result)));

        /// <summary>How good the student is.</summary>
        public DistilSummary Summary()
        {
            var summary = new DistilSummaryLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(DistilSummaryLayout)) };
            SeedError.Check(Native.seed_distilled_summary(Handle, ref summary));
            return new DistilSummary(summary);
        }

        /// <summary>What you should know although nothing failed, such as a student that is no better than chance.</summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_distilled_warnings(Handle, buffer, capacity, out length));

        /// <summary>The settings of the run, as <see cref="Config.ToJson"/> writes them.</summary>
        public string Settings() => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_distilled_settings(Handle, buffer, capacity, out length));

        /// <summary>Releases the result.</summary>
        public void Dispose() => handle.Dispose();
    }
}
