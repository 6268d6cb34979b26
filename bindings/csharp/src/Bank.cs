using System;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// A file of a teacher's embeddings of some views of each image, open for reading, so that the teacher leaves the loop.
    /// Any number of threads may use it at once.
    /// </summary>
    public sealed class Bank : IDisposable
    {
        private readonly BankHandle handle;

        private Bank(BankHandle handle)
        {
            this.handle = handle;
        }

        internal BankHandle Handle => handle.Alive(this);

        /// <summary>How many rows are finished.</summary>
        public long FinishedRows => Rows(true);

        /// <summary>How many rows the bank has: views times images.</summary>
        public long TotalRows => Rows(false);

        /// <summary>The width of an embedding; the student gets it too where "embedding_dim" is 0, the default.</summary>
        public int Dim
        {
            get
            {
                long dim;
                SeedError.Check(Native.seed_bank_dim(Handle, out dim));
                return checked((int)dim);
            }
        }

        /// <summary>The number of images that the bank was filled from.</summary>
        public long Images
        {
            get
            {
                long images;
                SeedError.Check(Native.seed_bank_images(Handle, out images));
                return images;
            }
        }

        /// <summary>The number of views of each image; a run over the bank needs "view_count" set to it.</summary>
        public long Views
        {
            get
            {
                long views;
                SeedError.Check(Native.seed_bank_views(Handle, out views));
                return views;
            }
        }

        /// <summary>
        /// What the bank holds, as JSON: teacher, precision, data set, seed, settings of the views.
        /// </summary>
        public string Header => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_bank_header(Handle, buffer, capacity, out length));

        /// <summary>
        /// The bytes of a bank of so many images and views with <paramref name="dim"/> numbers each: about images·views·(2·dim + 4).
        /// That is the width of the teacher's embedding, times 1 + "small.count" where small views stand beside the large ones.
        /// </summary>
        public static long PredictSize(long images, long views, long dim)
        {
            if (images < 0 || views < 0 || dim < 0)
            {
                throw new ArgumentOutOfRangeException(images < 0 ? nameof(images) : views < 0 ? nameof(views) : nameof(dim),
                    "expected a number from 0");
            }
            Library.Initialize();
            ulong bytes;
            SeedError.Check(Native.seed_bank_predict_size((ulong)images, (ulong)views, (ulong)dim, out bytes));
            return checked((long)bytes);
        }

        /// <summary>
        /// Fills the bank in a file: "view_count" views of every image, seen by the teacher. Begins a new file or goes on with
        /// the one that is there, to its end or for at least <paramref name="maxRows"/> more rows (0: no limit). The whole file
        /// is reserved at the start. A kill at any moment costs a few seconds of work.
        /// </summary>
        /// <param name="path">The file.</param>
        /// <param name="config">The settings of the run that will use the bank.</param>
        /// <param name="teacher">The teacher.</param>
        /// <param name="dataset">The images.</param>
        /// <param name="maxRows">How many rows to make about; 0: no limit.</param>
        /// <param name="progress">Receives a report every "progress_every" chunks of rows on this thread; what it throws ends
        /// the filling and is thrown by this method. What is finished is kept.</param>
        /// <param name="cancellation">Ends the filling.</param>
        /// <exception cref="OperationCanceledException">The token ended the filling.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> when the disk is too small or full, <see cref="ErrorCode.Mismatch"/> with the reason when
        /// the bank there is another, <see cref="ErrorCode.Format"/> when the file is no bank, <see cref="ErrorCode.Busy"/>
        /// while it is open.
        /// </exception>
        public static Outcome Fill(string path, Config config, Teacher teacher, Dataset dataset, long maxRows = 0,
            IProgress<BankProgress> progress = null, CancellationToken cancellation = default(CancellationToken))
        {
            using (var link = new Cancellation(cancellation))
            {
                var outcome = Fill(path, config, teacher, dataset, maxRows, progress, link.Handle);
                if (outcome == Outcome.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                }
                return outcome;
            }
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the filling; the outcome is
        /// <see cref="Outcome.Cancelled"/> when it has ended it, and nothing is thrown.
        /// </summary>
        public static Outcome Fill(CancelToken cancel, string path, Config config, Teacher teacher, Dataset dataset,
            long maxRows = 0, IProgress<BankProgress> progress = null)
        {
            return Fill(path, config, teacher, dataset, maxRows, progress, Given.Object(cancel, nameof(cancel)).Handle);
        }

        private static Outcome Fill(string path, Config config, Teacher teacher, Dataset dataset, long maxRows,
            IProgress<BankProgress> progress, CancelTokenHandle cancel)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            var master = Given.Object(teacher, nameof(teacher)).Handle;
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            if (maxRows < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(maxRows), maxRows, "expected a number from 0");
            }
            int outcome;
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<BankProgress>(progress))
            {
                callback.Settle(SeedError.Take(Native.seed_bank_fill(file, settings, master, images, (ulong)maxRows,
                    callback.Wanted ? Callbacks.Filling : null, callback.Number, cancel, out outcome)));
            }
            InFlight.StayWhenLeaving();
            return (Outcome)outcome;
        }

        /// <summary>
        /// Opens the bank in a file, finished or not. With a teacher, a bank of another one is refused. The header is checked
        /// now, rows when they are first used; <see cref="Verify"/> checks them all. The file must not be cut or written over
        /// by others while it is open.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a damaged or hostile file,
        /// <see cref="ErrorCode.Mismatch"/> for a stale bank, <see cref="ErrorCode.Busy"/> while it is being filled.
        /// </exception>
        public static Bank Open(string path, Teacher teacher = null)
        {
            var file = Text.ToNative(path, nameof(path));
            var master = teacher == null ? TeacherHandle.None : teacher.Handle;
            return new Bank(SeedHandle.Make<BankHandle>((out IntPtr result) =>
                Native.seed_bank_open(file, master, out result)));
        }

        /// <summary>
        /// Reads all finished rows and compares their checksums: one pass over the file, at the disk's speed.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> naming the rows that are damaged; a filling repairs them.
        /// </exception>
        public void Verify()
        {
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_bank_verify(Handle));
            }
        }

        private long Rows(bool onlyFinished)
        {
            ulong finished, total;
            SeedError.Check(Native.seed_bank_rows(Handle, out finished, out total));
            return checked((long)(onlyFinished ? finished : total));
        }

        /// <summary>Closes the bank. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
