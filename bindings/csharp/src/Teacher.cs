using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// What is learned from: a frozen network, a TorchScript file, an engine of the application, or what a teacher said before and
    /// that was stored (<see cref="FromBank"/>, <see cref="FromEmbeddings"/>). A stored one serves a new <see cref="Trainer"/>; what
    /// has to show a teacher images refuses it with <see cref="ErrorCode.Unsupported"/>. Any number of threads may use it at once.
    /// </summary>
    public sealed class Teacher : IDisposable
    {
        private readonly TeacherHandle handle;

        private Teacher(TeacherHandle handle)
        {
            this.handle = handle;
        }

        internal TeacherHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the teacher although nothing failed, such as tensors of its file that were not
        /// understood.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_teacher_warnings(Handle, buffer, capacity, out length));

        /// <summary>The width of the embedding; the student gets it too where "embedding_dim" is 0, the default.</summary>
        public int Dim
        {
            get
            {
                long dim;
                SeedError.Check(Native.seed_teacher_dim(Handle, out dim));
                return checked((int)dim);
            }
        }

        /// <summary>The number of parameters.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Unsupported"/> for an engine of the application, which the library cannot look into,
        /// and a stored teacher.
        /// </exception>
        public long ParameterCount
        {
            get
            {
                long count;
                SeedError.Check(Native.seed_teacher_parameter_count(Handle, out count));
                return count;
            }
        }

        /// <summary>
        /// Reads a teacher's weights from a safetensors file or a torch checkpoint (.pt, .pth, .pth.tar; zip or legacy format),
        /// which is read as data: nothing in it is executed. Without a projection head in the file the embedding is the
        /// backbone's features. The architecture is named as for a new <see cref="Student"/>; "device" comes from
        /// the configuration.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a damaged or hostile file,
        /// <see cref="ErrorCode.Mismatch"/> listing missing, unexpected and misshapen keys.
        /// </exception>
        public static Teacher Load(string path, string architecture, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var name = Text.ToNative(architecture, nameof(architecture));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Teacher(SeedHandle.Make<TeacherHandle>((out IntPtr result) =>
                Native.seed_teacher_load(file, name, settings, out result)));
        }

        /// <summary>
        /// Makes a teacher of a TorchScript file, written by torch.jit.save: any PyTorch network that takes float images
        /// (B, 3, H, W), normalised by "mean" and "std" of the run, and gives floating-point rows (B, D), or (B, D, 1, 1). It is
        /// put into eval mode, frozen, moved to the "device" of the configuration and tried on images of "image_width" and
        /// "image_height", which tells D. It computes in the type of its weights, whatever "precision" says.
        /// </summary>
        /// <remarks>
        /// A TorchScript file is a program, unlike a file of weights: what it contains is run in this process, with all rights of
        /// this process. Load only what you would also run.
        /// </remarks>
        /// <param name="path">The file.</param>
        /// <param name="config">The settings.</param>
        /// <param name="output">Where the network gives a tuple, a list or a dict: which tensor to take, by its key, field or
        /// number from 0; null takes the first.</param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> when the file is no TorchScript module,
        /// <see cref="ErrorCode.Mismatch"/> when it refuses such images or gives something else, with what it gave.
        /// </exception>
        public static Teacher LoadTorchScript(string path, Config config, string output = null)
        {
            var file = Text.ToNative(path, nameof(path));
            var tensor = output == null ? null : Text.ToNative(output, nameof(output));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Teacher(SeedHandle.Make<TeacherHandle>((out IntPtr result) =>
                Native.seed_teacher_load_torchscript(file, tensor, settings, out result)));
        }

        /// <summary>
        /// Makes a teacher of a bank: a run over it has the loss of the run with the teacher in the loop, to float16 rounding, and
        /// no network of the teacher is needed. A new <see cref="Trainer"/> wants a finished bank that holds the views that its
        /// configuration asks for ("view_count", "seed" and the settings of the views) of its data set, which is not null then.
        /// <see cref="Trainer.Step"/> is refused.
        /// </summary>
        public static Teacher FromBank(Bank bank)
        {
            var stored = Given.Object(bank, nameof(bank)).Handle;
            return new Teacher(SeedHandle.Make<TeacherHandle>((out IntPtr result) => Native.seed_teacher_from_bank(stored, out result)));
        }

        /// <summary>
        /// Makes a teacher of a table: every view of an image has one target, the image's own row. Rows are found by the names of the
        /// images where the table has names, else row i is image i's, when a new <see cref="Trainer"/> is given the data set, which
        /// is not null then. An image may lack a row, or have one of zeros, only where it cannot be read.
        /// <see cref="Trainer.Step"/> is refused.
        /// </summary>
        /// <remarks>
        /// The target does not follow the crop, as it does with a network or a bank, so keep the views mild
        /// ("view.crop_scale_min" near 1); where the teacher can be run here, a <see cref="Bank"/> learns more from it.
        /// </remarks>
        public static Teacher FromEmbeddings(EmbeddingTable table)
        {
            var stored = Given.Object(table, nameof(table)).Handle;
            return new Teacher(SeedHandle.Make<TeacherHandle>((out IntPtr result) =>
                Native.seed_teacher_from_embeddings(stored, out result)));
        }

        /// <summary>
        /// Makes a teacher of an engine of the application. It serves trainers, banks and sessions ("output" "embedding") as any
        /// other; with an engine that is slow, fill a bank once. "mean" and "std" of the configuration must be the run's. The
        /// function is kept until the teacher is disposed and nothing that was made of it is left.
        /// </summary>
        /// <param name="embed">
        /// Fills the embeddings of a batch. It runs on the thread that computes: the one that made the call, or with "nice" from
        /// 1 on one of the library; on several at once where several calls use one teacher at the same time. It may call the
        /// library, but the trainer and bank it is called for throw <see cref="ErrorCode.Busy"/>. What it throws fails the call
        /// that needed the embeddings with <see cref="ErrorCode.Cancelled"/> and the exception's words; finished steps stay, and
        /// another call goes on after them. A row of zeros, or with NaN or infinity, is <see cref="ErrorCode.Mismatch"/>.
        /// </param>
        /// <param name="dim">How many numbers an image has, 1 to 65536.</param>
        /// <param name="identity">A text that changes when the embeddings do, such as the engine's file and its hash: a bank of
        /// another identity is stale, and a checkpoint is not resumed.</param>
        /// <param name="config">The settings.</param>
        /// <param name="format">How images are shown.</param>
        /// <param name="onDevice">Whether batches are wanted on the CUDA device that "device" names; else they are in main
        /// memory. The images are there when the function is called, and the embeddings must be there when it returns.</param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for numbers out of bounds and an empty identity or one of more than 1024
        /// bytes.
        /// </exception>
        public static Teacher FromFunction(Action<TeacherBatch> embed, int dim, string identity, Config config,
            BatchFormat format = BatchFormat.FloatNchw, bool onDevice = false)
        {
            Given.Object(embed, nameof(embed));
            var name = Text.ToNative(identity, nameof(identity));
            var settings = Given.Object(config, nameof(config)).Handle;
            // The library's until it calls Released.
            var kept = GCHandle.Alloc(embed);
            try
            {
                return new Teacher(SeedHandle.Make<TeacherHandle>((out IntPtr result) =>
                    Native.seed_teacher_from_callback(TeacherBatch.Embedding, GCHandle.ToIntPtr(kept), TeacherBatch.Released, dim,
                        name, (int)format, onDevice ? Native.DeviceCuda : Native.DeviceCpu, settings, out result)));
            }
            catch
            {
                kept.Free();
                throw;
            }
        }

        /// <summary>Releases the teacher. Trainers and sessions made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
