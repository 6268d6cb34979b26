using System;
using System.Collections.Generic;
using System.Threading;

namespace LibSeed
{
    // How classifiers are made.
    public sealed partial class Classifier
    {
        /// <summary>
        /// Makes a classifier of a copy of a student (its features and their backbone) and labelled images, by the settings
        /// "finetune.…"; docs/finetune.md says how.
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="images">The images.</param>
        /// <param name="labels">
        /// One number for each image: its class, or −1 for none. <see cref="Dataset.ClassLabels"/> makes them of folders.
        /// </param>
        /// <param name="classes">The classes' names, all different.</param>
        /// <param name="teacher">What "finetune.anchor" draws the student to; null: the student as it was.</param>
        /// <param name="progress">Receives reports on this thread; what it throws ends the fit and is thrown by this method.</param>
        /// <param name="cancellation">Ends the fit. To keep the best classifier so far, give a <see cref="CancelToken"/>.</param>
        /// <exception cref="OperationCanceledException">The token ended the fit.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for labels or names that do not fit, or images of fewer than two classes;
        /// <see cref="ErrorCode.Mismatch"/> for a teacher or a checkpoint ("finetune.checkpoint_path") that does not fit.
        /// </exception>
        public static Classifier Fit(Config config, Student student, Dataset images, long[] labels, IReadOnlyCollection<string> classes,
            Teacher teacher = null, IProgress<FitProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            return Fit(config, Given.Object(student, nameof(student)).Handle, ClassifierHandle.None, ClassifierHandle.None, images,
                labels, classes, teacher, progress, cancellation);
        }

        /// <summary>
        /// As the other in the "finetune.mode" full, but the student also learns what the classifier of a teacher answers, on images
        /// without a label as well ("finetune.logit_weight", "finetune.logit_temperature", "finetune.label_weight").
        /// </summary>
        /// <param name="config">The settings.</param>
        /// <param name="student">The student.</param>
        /// <param name="taughtBy">The teacher's classifier, of the same classes and image size.</param>
        /// <param name="images">The images.</param>
        /// <param name="labels">One number for each image: its class, or −1 for none.</param>
        /// <param name="classes">The classes' names, all different.</param>
        /// <param name="teacher">What "finetune.anchor" draws the student to; null: the student as it was.</param>
        /// <param name="progress">Receives reports on this thread; what it throws ends the fit and is thrown by this method.</param>
        /// <param name="cancellation">Ends the fit.</param>
        /// <exception cref="OperationCanceledException">The token ended the fit.</exception>
        public static Classifier Distil(Config config, Student student, Classifier taughtBy, Dataset images, long[] labels,
            IReadOnlyCollection<string> classes, Teacher teacher = null, IProgress<FitProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Fit(config, Given.Object(student, nameof(student)).Handle, ClassifierHandle.None,
                Given.Object(taughtBy, nameof(taughtBy)).Handle, images, labels, classes, teacher, progress, cancellation);
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the fit: the classifier is the best one so far then, and the
        /// outcome <see cref="Outcome.Cancelled"/>. <see cref="ErrorCode.Cancelled"/> is thrown where there was none yet.
        /// </summary>
        public static Classifier Fit(CancelToken cancel, out Outcome outcome, Config config, Student student, Dataset images,
            long[] labels, IReadOnlyCollection<string> classes, Teacher teacher = null, IProgress<FitProgress> progress = null)
        {
            return Fit(config, Given.Object(student, nameof(student)).Handle, ClassifierHandle.None, ClassifierHandle.None, images,
                labels, classes, teacher, progress, Given.Object(cancel, nameof(cancel)).Handle, out outcome);
        }

        /// <summary>
        /// As <see cref="Fit(Config, Student, Dataset, long[], IReadOnlyCollection{string}, Teacher, IProgress{FitProgress},
        /// CancellationToken)"/> from the backbone and classes of an earlier classifier, which is left as it is. The names of its
        /// classes must come first; new ones follow.
        /// </summary>
        public static Classifier Extend(Config config, Classifier earlier, Dataset images, long[] labels,
            IReadOnlyCollection<string> classes, Teacher teacher = null, IProgress<FitProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            return Fit(config, StudentHandle.None, Given.Object(earlier, nameof(earlier)).Handle, ClassifierHandle.None, images,
                labels, classes, teacher, progress, cancellation);
        }

        /// <summary>As the other, with a token of the library, which works as for the fit.</summary>
        public static Classifier Extend(CancelToken cancel, out Outcome outcome, Config config, Classifier earlier, Dataset images,
            long[] labels, IReadOnlyCollection<string> classes, Teacher teacher = null, IProgress<FitProgress> progress = null)
        {
            return Fit(config, StudentHandle.None, Given.Object(earlier, nameof(earlier)).Handle, ClassifierHandle.None, images,
                labels, classes, teacher, progress, Given.Object(cancel, nameof(cancel)).Handle, out outcome);
        }

        private static Classifier Fit(Config config, StudentHandle student, ClassifierHandle earlier, ClassifierHandle taughtBy,
            Dataset images, long[] labels, IReadOnlyCollection<string> classes, Teacher teacher, IProgress<FitProgress> progress, CancellationToken cancellation)
        {
            using (var link = new Cancellation(cancellation))
            {
                try
                {
                    Outcome outcome;
                    var made = Fit(config, student, earlier, taughtBy, images, labels, classes, teacher, progress, link.Handle,
                        out outcome);
                    if (outcome == Outcome.Cancelled && cancellation.IsCancellationRequested)
                    {
                        made.Dispose();
                        cancellation.ThrowIfCancellationRequested();
                    }
                    return made;
                }
                catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                    throw;
                }
            }
        }

        private static unsafe Classifier Fit(Config config, StudentHandle student, ClassifierHandle earlier,
            ClassifierHandle taughtBy, Dataset images, long[] labels, IReadOnlyCollection<string> classes, Teacher teacher, IProgress<FitProgress> progress,
            CancelTokenHandle cancel, out Outcome outcome)
        {
            var settings = Given.Object(config, nameof(config)).Handle;
            var frames = Given.Object(images, nameof(images)).Handle;
            var master = teacher == null ? TeacherHandle.None : teacher.Handle;
            var count = (UIntPtr)(uint)Given.Object(labels, nameof(labels)).Length;
            var ended = 0;
            ClassifierHandle made = null;
            using (var names = new TextArray(classes, nameof(classes)))
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<FitProgress>(progress))
            fixed (long* first = labels)
            {
                var numbers = (IntPtr)first;
                SeedException trouble = null;
                try
                {
                    var report = callback.Wanted ? Callbacks.Fitting : null;
                    made = SeedHandle.Make<ClassifierHandle>((out IntPtr result) => taughtBy == ClassifierHandle.None
                        ? Native.seed_classifier_fit(settings, student, earlier, master, frames, numbers, count, names.Pointers,
                            names.Count, report, callback.Number, cancel, out ended, out result)
                        : Native.seed_classifier_distil(settings, student, earlier, master, taughtBy, frames, numbers, count,
                            names.Pointers, names.Count, report, callback.Number, cancel, out ended, out result));
                }
                catch (SeedException error)
                {
                    trouble = error;
                }
                if (callback.Interrupted)
                {
                    made?.Dispose();
                }
                callback.Settle(trouble);
            }
            InFlight.StayWhenLeaving();
            outcome = (Outcome)ended;
            return new Classifier(made);
        }
    }
}
