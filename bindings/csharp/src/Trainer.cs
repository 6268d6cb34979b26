using System;
using System.Collections.Generic;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// One distillation run. For one thread at a time; others get <see cref="ErrorCode.Busy"/>. It holds what it was made of.
    /// </summary>
    public sealed class Trainer : IDisposable
    {
        private readonly TrainerHandle handle;

        /// <summary>
        /// Makes a run that distils the teacher into the student by "method". Without a teacher (null) it is a method that needs none
        /// ("moco_v2", "simclr", "swav"), by which the student becomes a teacher for another run. Without a data set the application brings its own batches
        /// by <see cref="Step"/>, and "steps" must be set; a stored teacher (<see cref="Teacher.FromBank"/>,
        /// <see cref="Teacher.FromEmbeddings"/>) knows the images of a data set only, so it needs one. Without a queue a new one of
        /// "queue_capacity" is made.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for a method that learns from a teacher without one, or the reverse;
        /// <see cref="ErrorCode.Mismatch"/> when the widths of the embeddings or the devices differ; for a stored teacher, with the
        /// reason, when the bank is stale or not finished, or images have no row, listing their names.
        /// </exception>
        public Trainer(Config config, Student student, Teacher teacher, Dataset dataset = null, Queue queue = null)
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var learner = Given.Object(student, nameof(student)).Handle;
            var master = teacher == null ? TeacherHandle.None : teacher.Handle;
            var images = dataset == null ? DatasetHandle.None : dataset.Handle;
            var rows = queue == null ? QueueHandle.None : queue.Handle;
            handle = SeedHandle.Make<TrainerHandle>((out IntPtr result) =>
                Native.seed_trainer_new(settings, learner, master, rows, images, out result));
        }

        internal TrainerHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the run although nothing failed, such as a student that has collapsed. Works while
        /// the run goes on, from its progress function too.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_trainer_warnings(Handle, buffer, capacity, out length));

        /// <summary>
        /// Distils until the end of the run, or for <paramref name="maxSteps"/> more steps (0: no limit). With
        /// "checkpoint_path" set, the run is saved every "checkpoint_every" steps (0: every twentieth of the run), on cancel and at
        /// the end. After an exception
        /// or a cancel another call goes on where this one ended.
        /// </summary>
        /// <param name="maxSteps">How many steps to make at most; 0: no limit.</param>
        /// <param name="progress">
        /// Receives a report before the first step, after it and then every "progress_every" steps, on this thread. The trainer is busy meanwhile; the student may be
        /// saved, and sessions may be made of it. What it throws ends the run after this step and is thrown by this method.
        /// </param>
        /// <param name="cancellation">Ends the run after its current step.</param>
        /// <exception cref="OperationCanceledException">The token ended the run.</exception>
        public Outcome Run(long maxSteps = 0, IProgress<TrainingProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            using (var link = new Cancellation(cancellation))
            {
                var outcome = Run(maxSteps, progress, link.Handle);
                if (outcome == Outcome.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                }
                return outcome;
            }
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the run; the outcome is <see cref="Outcome.Cancelled"/> when
        /// it has ended it, and nothing is thrown.
        /// </summary>
        public Outcome Run(CancelToken cancel, long maxSteps = 0, IProgress<TrainingProgress> progress = null)
        {
            return Run(maxSteps, progress, Given.Object(cancel, nameof(cancel)).Handle);
        }

        private Outcome Run(long maxSteps, IProgress<TrainingProgress> progress, CancelTokenHandle cancel)
        {
            if (maxSteps < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(maxSteps), maxSteps, "expected a number from 0");
            }
            int outcome;
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<TrainingProgress>(progress))
            {
                callback.Settle(SeedError.Take(Native.seed_trainer_run(Handle, (ulong)maxSteps,
                    callback.Wanted ? Callbacks.Training : null, callback.Number, cancel, out outcome)));
            }
            // It may be the end of the process that has cancelled.
            InFlight.StayWhenLeaving();
            return (Outcome)outcome;
        }

        /// <summary>
        /// Makes the run together with the same run in the other processes of the world: from now on all of them call
        /// <see cref="Run(long, IProgress{TrainingProgress}, CancellationToken)"/> at once, with the same number of steps. "batch_size"
        /// is the number of images of a step over all processes, each of which takes its equal share; rank 0 writes checkpoints and
        /// event files, and all resume from the same checkpoint. A process that cancels, pauses or fails does so for all.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for a trainer with a world or without a data set, and where "batch_size" is no
        /// multiple of the number of processes; <see cref="ErrorCode.Unsupported"/> for methods but "seed", "l2" and
        /// "binary_contrastive", and on a GPU.
        /// </exception>
        public void SetWorld(World world) =>
            SeedError.Check(Native.seed_trainer_set_world(Handle, Given.Object(world, nameof(world)).Handle));

        /// <summary>
        /// Makes one step on images of the application's own, of any sizes; one augmented view of each is used. Gives the loss.
        /// </summary>
        public unsafe double Step(params Image[] images)
        {
            using (InFlight.Begin())
            using (var views = new ImageViews(images))
            {
                fixed (ImageLayout* first = views.Views)
                {
                    double loss;
                    SeedError.Check(Native.seed_trainer_step(Handle, first, views.Count, out loss));
                    return loss;
                }
            }
        }

        /// <summary>How many steps were made.</summary>
        public long StepsMade
        {
            get
            {
                ulong step, total;
                SeedError.Check(Native.seed_trainer_position(Handle, out step, out total));
                return (long)step;
            }
        }

        /// <summary>How many steps the run has.</summary>
        public long TotalSteps
        {
            get
            {
                ulong step, total;
                SeedError.Check(Native.seed_trainer_position(Handle, out step, out total));
                return (long)total;
            }
        }

        /// <summary>
        /// Writes everything that the run needs to go on to a folder, atomically: a kill at any moment leaves the old
        /// checkpoint or the new one.
        /// </summary>
        public void Save(string folder) =>
            SeedError.Check(Native.seed_trainer_save(Handle, Text.ToNative(folder, nameof(folder))));

        /// <summary>
        /// Goes on where the checkpoint in a folder stopped: the same run, on the CPU bit for bit.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> for a damaged checkpoint, <see cref="ErrorCode.Mismatch"/> when teacher, data set,
        /// architecture or a setting that shapes the numbers is another; the trainer is left as it was.
        /// </exception>
        public void Resume(string folder) =>
            SeedError.Check(Native.seed_trainer_resume(Handle, Text.ToNative(folder, nameof(folder))));

        /// <summary>Releases the trainer. A run that is under way in another thread goes on to its end.</summary>
        public void Dispose() => handle.Dispose();
    }
}
