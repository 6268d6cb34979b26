using System;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    /// <summary>
    /// A snapshot of a network that turns images into vectors. It changes by <see cref="Swap"/> only; any number of threads may
    /// use it at once.
    /// </summary>
    public sealed class Session : IDisposable
    {
        private readonly SessionHandle handle;

        private Session(SessionHandle.Construct construct)
        {
            handle = SeedHandle.Make<SessionHandle>(construct);
        }

        internal SessionHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the session although nothing failed, such as frames of which much is cut away.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_session_warnings(Handle, buffer, capacity, out length));

        /// <summary>How the session computes, for a person: "cpu, bfloat16, 8 images at once".</summary>
        public string Description => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_session_describe(Handle, buffer, capacity, out length));

        /// <summary>
        /// What runs the session's network, and why it was taken: "libtorch: the setting "engine" is "libtorch"".
        /// </summary>
        public string Engine => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_session_engine(Handle, buffer, capacity, out length));

        /// <summary>D, the number of floats that one image gives.</summary>
        public int Dim
        {
            get
            {
                long dim;
                SeedError.Check(Native.seed_session_dim(Handle, out dim));
                return checked((int)dim);
            }
        }

        /// <summary>The number of parameters, head included.</summary>
        public long ParameterCount
        {
            get
            {
                long count;
                SeedError.Check(Native.seed_session_parameter_count(Handle, out count));
                return count;
            }
        }

        /// <summary>
        /// Opens a student file. Input size, mean and std are the file's; "device", "precision", "output" and "workers" come
        /// from the configuration. Opening tries out the fastest way to compute, some tens of forward passes.
        /// </summary>
        public static Session Open(string path, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Session((out IntPtr result) => Native.seed_session_open(file, settings, out result));
        }

        /// <summary>
        /// Makes a session of a student's weights as they are now; the student may go on learning. Input size, mean and std
        /// are the student's.
        /// </summary>
        public static Session FromStudent(Student student, Config config)
        {
            var network = Given.Object(student, nameof(student)).Handle;
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Session((out IntPtr result) => Native.seed_session_from_student(network, settings, out result));
        }

        /// <summary>Makes a session of a teacher. Image size, mean and std come from the configuration.</summary>
        public static Session FromTeacher(Teacher teacher, Config config)
        {
            var network = Given.Object(teacher, nameof(teacher)).Handle;
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Session((out IntPtr result) => Native.seed_session_from_teacher(network, settings, out result));
        }

        /// <summary>
        /// Exchanges what two sessions run, between two calls: a running station takes a newly distilled student, and the other
        /// session then holds the old one. The same call again goes back. Calls under way finish with what they began with;
        /// nothing waits. "workers" stays with each session.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Mismatch"/> when their vectors differ in length or kind, since what they are compared with would
        /// no longer fit; both are left as they were.
        /// </exception>
        public void Swap(Session other) =>
            SeedError.Check(Native.seed_session_swap(Handle, Given.Object(other, nameof(other)).Handle));

        /// <summary>Vectors of images of any sizes, a row for each.</summary>
        public Embeddings Embed(params Image[] images)
        {
            var dim = Dim;
            var values = new float[checked(Given.Object(images, nameof(images)).Length * dim)];
            EmbedInto(values, images);
            return new Embeddings(values, dim);
        }

        /// <summary>
        /// As <see cref="Embed(Image[])"/>, into memory of the caller's. Gives the number of floats that were written: the
        /// number of images times <see cref="Dim"/>.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.BufferTooSmall"/>; nothing was written then.
        /// </exception>
        public unsafe int EmbedInto(Span<float> vectors, params Image[] images)
        {
            using (var views = new ImageViews(images))
            {
                fixed (ImageLayout* first = views.Views)
                {
                    return EmbedInto(vectors, first, views.Count);
                }
            }
        }

        /// <summary>As the other, of one image whose pixels are in a span. Nothing is allocated in .NET.</summary>
        public unsafe int EmbedInto(Span<float> vector, ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format,
            int stride = 0)
        {
            stride = PixelLayout.Check(pixels.Length, width, height, format, stride, 0);
            fixed (byte* start = &MemoryMarshal.GetReference(pixels))
            {
                var view = ImageViews.Of((IntPtr)start, width, height, stride, format);
                return EmbedInto(vector, &view, (UIntPtr)1u);
            }
        }

        private unsafe int EmbedInto(Span<float> vectors, ImageLayout* images, UIntPtr count)
        {
            // An empty span may have no address, and none would ask for the size instead of filling.
            float place;
            using (InFlight.Begin())
            fixed (float* start = &MemoryMarshal.GetReference(vectors))
            {
                UIntPtr length;
                SeedError.Check(Native.seed_session_embed(Handle, images, count, (IntPtr)(vectors.IsEmpty ? &place : start),
                    (UIntPtr)(uint)vectors.Length, out length));
                return Size.Int(length);
            }
        }

        /// <summary>
        /// What the network sees of images of any sizes, before normalisation: bytes by image, row, column and channel (red, green,
        /// blue). An exported student with <see cref="ExportInput.Bytes"/> gives for these what <see cref="Embed(Image[])"/> gives
        /// for the images.
        /// </summary>
        public unsafe byte[] Preprocess(params Image[] images)
        {
            using (var views = new ImageViews(images))
            using (InFlight.Begin())
            fixed (ImageLayout* first = views.Views)
            {
                var address = (IntPtr)first;
                return Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_session_preprocess(Handle, (ImageLayout*)address, views.Count, buffer, capacity, out length));
            }
        }

        /// <summary>The feature maps of the session's network, counted from the image on; none for some backbones.</summary>
        public Stage[] Stages()
        {
            UIntPtr count;
            SeedError.Check(Native.seed_session_stage_count(Handle, out count));
            var stages = new Stage[Size.Int(count)];
            for (var i = 0; i < stages.Length; i++)
            {
                var number = (UIntPtr)(uint)i;
                long channels = 0, stride = 0;
                var name = Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_session_stage(Handle, number, out channels, out stride, buffer, capacity, out length));
                stages[i] = new Stage(name, channels, stride);
            }
            return stages;
        }

        /// <summary>
        /// The feature maps of images at a stage: numbers by image, channel, row and column. The images are resized as
        /// for <see cref="Embed(Image[])"/>. What lies behind the stage is not computed.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an unknown name, listing those that there are.
        /// </exception>
        public unsafe float[] FeatureMap(string stage, params Image[] images)
        {
            var name = Text.ToNative(stage, nameof(stage));
            using (var views = new ImageViews(images))
            using (InFlight.Begin())
            fixed (ImageLayout* first = views.Views)
            {
                var address = (IntPtr)first;
                return Filling.Array<float>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_session_feature_map(Handle, name, (ImageLayout*)address, views.Count, buffer, capacity, out length));
            }
        }

        /// <summary>
        /// Vectors of all images of a data set, in order. A broken image gives zeros and is counted as skipped.
        /// </summary>
        /// <param name="dataset">The images.</param>
        /// <param name="progress">Receives how many images are done, on this thread; what it throws ends the call and is
        /// thrown by this method.</param>
        /// <param name="cancellation">Ends the call.</param>
        /// <exception cref="OperationCanceledException">The token ended the call.</exception>
        public Embeddings Embed(Dataset dataset, IProgress<CountProgress> progress = null,
            CancellationToken cancellation = default(CancellationToken))
        {
            using (var link = new Cancellation(cancellation))
            {
                try
                {
                    return Embed(dataset, progress, link.Handle);
                }
                catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                {
                    cancellation.ThrowIfCancellationRequested();
                    throw;
                }
            }
        }

        /// <summary>
        /// As the other, but a token of the library ends or pauses the call. When it has ended it there is no result, so
        /// <see cref="ErrorCode.Cancelled"/> is thrown.
        /// </summary>
        public Embeddings Embed(CancelToken cancel, Dataset dataset, IProgress<CountProgress> progress = null)
        {
            return Embed(dataset, progress, Given.Object(cancel, nameof(cancel)).Handle);
        }

        private Embeddings Embed(Dataset dataset, IProgress<CountProgress> progress, CancelTokenHandle cancel)
        {
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            var dim = Dim;
            float[] vectors = null;
            ExceptionDispatchInfo ended = null;
            using (InFlight.Begin(cancel))
            using (var callback = new Callback<CountProgress>(progress))
            {
                try
                {
                    vectors = Filling.Array<float>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    {
                        var error = Native.seed_session_embed_dataset(Handle, images,
                            callback.Wanted ? Callbacks.Counting : null, callback.Number, cancel, buffer, capacity,
                            out length);
                        return callback.Interrupted ? Settled(callback, error) : error;
                    });
                }
                catch (SeedException error) when (error.Code == ErrorCode.Cancelled)
                {
                    ended = ExceptionDispatchInfo.Capture(error);
                }
            }
            // It may be the end of the process that has cancelled.
            InFlight.StayWhenLeaving();
            ended?.Throw();
            return new Embeddings(vectors, dim);
        }

        // Throws what the callback has thrown.
        private static IntPtr Settled(Callback<CountProgress> callback, IntPtr error)
        {
            callback.Settle(SeedError.Take(error));
            return IntPtr.Zero;
        }

        /// <summary>
        /// Vectors of a batch of images in a DLPack tensor, which may be on a GPU: bytes (B, H, W, C) with C 1 or 3 (red, green,
        /// blue) of any size, which are resized and normalised as other images are; or float32, float16 or bfloat16
        /// (B, 3, height, width) of the session's size, normalised already. The result is (B, D) of float32 on the session's
        /// device, complete when the call returns. Frames in main memory are better given as an <see cref="Image"/>.
        /// </summary>
        /// <param name="images">
        /// A DLManagedTensorVersioned* of DLPack 1. It is taken over whatever comes of the call: its deleter is called, when this
        /// throws too, so do not call it. What writes a GPU's images must be done, or queued on the default stream, before.
        /// </param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for another version, device, type or shape.
        /// </exception>
        public DlpackTensor EmbedDlpack(IntPtr images)
        {
            if (images == IntPtr.Zero)
            {
                throw new ArgumentNullException(nameof(images));
            }
            return new DlpackTensor(SeedHandle.Make<DlpackHandle>((out IntPtr result) =>
            {
                try
                {
                    return Native.seed_session_embed_dlpack(Handle, images, out result);
                }
                catch (ObjectDisposedException)
                {
                    // C was not reached, so nobody has taken the images over.
                    DlpackLayout.Delete(images);
                    throw;
                }
            }));
        }

        /// <summary>Releases the session.</summary>
        public void Dispose() => handle.Dispose();
    }
}
