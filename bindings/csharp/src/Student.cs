using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
    /// session is made. Any number of threads may use it at once; they wait for a step that is writing the weights.
    /// <see cref="LoadWeights"/> wants it alone.
    /// </summary>
    public sealed class Student : IDisposable
    {
        private readonly StudentHandle handle;

        /// <summary>
        /// Makes a student with random weights, drawn from the configuration's "seed", of one of
        /// <see cref="Model.Architectures"/>. "embedding_dim", "projection_hidden", "device", image size, mean and std come from
        /// the configuration. With "embedding_dim" 0, the default, its first trainer gives it a projection head of the teacher's
        /// width; until then its embedding is its features.
        /// </summary>
        public Student(string architecture, Config config)
        {
            var name = Text.ToNative(architecture, nameof(architecture));
            var settings = Given.Object(config, nameof(config)).Handle;
            handle = SeedHandle.Make<StudentHandle>((out IntPtr result) =>
                Native.seed_student_new(name, settings, out result));
        }

        internal Student(StudentHandle handle)
        {
            this.handle = handle;
        }

        internal StudentHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the student although nothing failed, such as tensors of a file of weights that were
        /// not understood.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_student_warnings(Handle, buffer, capacity, out length));

        /// <summary>The width of the embedding, C.</summary>
        public int Dim
        {
            get
            {
                long dim;
                SeedError.Check(Native.seed_student_dim(Handle, out dim));
                return checked((int)dim);
            }
        }

        /// <summary>The number of parameters, projection head included.</summary>
        public long ParameterCount
        {
            get
            {
                long count;
                SeedError.Check(Native.seed_student_parameter_count(Handle, out count));
                return count;
            }
        }

        /// <summary>
        /// Reads a student that <see cref="Save"/> wrote, to the configuration's "device". Image size, mean and std are the
        /// file's.
        /// </summary>
        public static Student Load(string path, Config config)
        {
            var file = Text.ToNative(path, nameof(path));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Student(SeedHandle.Make<StudentHandle>((out IntPtr result) =>
                Native.seed_student_load(file, settings, out result)));
        }

        /// <summary>Writes the student to a safetensors file with torchvision's key names, atomically.</summary>
        public void Save(string path) =>
            SeedError.Check(Native.seed_student_save(Handle, Text.ToNative(path, nameof(path))));

        /// <summary>
        /// Lets the student start from earlier weights, before it is trained: ImageNet's as torchvision, timm or Hugging Face
        /// publish them, another student's, or a checkpoint of SEED's (its student) and other self-supervised methods. The file
        /// is safetensors or a torch checkpoint, is read as data, and must hold the whole backbone of the student's
        /// architecture. A projection head in it is taken if it has the student's widths, and else the student keeps its own. All
        /// or nothing. Image size, mean and std stay those of the student: set them to what the weights were trained with. It
        /// wants the student alone; a run that trains it goes on from the new weights with its next step.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a damaged or hostile file,
        /// <see cref="ErrorCode.Mismatch"/> listing missing, unexpected and misshapen keys and the architecture whose weights
        /// they are, <see cref="ErrorCode.Busy"/>. The student is as it was then.
        /// </exception>
        public void LoadWeights(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_student_load_weights(Handle, file));
            }
        }

        /// <summary>
        /// What the last <see cref="LoadWeights"/> did, as JSON: "layout" (whose names the file had), "prefix" (what was taken
        /// off each name), "head" (whether the file's was taken), "loaded" and "converted" (numbers of tensors), "defaulted"
        /// (counters that the file lacks) and "ignored" (the file's tensors that were not used).
        /// </summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.InvalidArgument"/> where none were loaded.</exception>
        public string WeightsReport() => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_student_weights_report(Handle, buffer, capacity, out length));

        /// <summary>What <see cref="SetProvenance"/> and the student's runs have noted, a JSON object.</summary>
        public string Provenance => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_student_provenance(Handle, buffer, capacity, out length));

        /// <summary>
        /// Notes where the student comes from, for every file that is written of it: scores, a line's name, a date. A run notes
        /// its teacher, the number of images, steps, loss and settings by itself under "distillation", the library its version
        /// under "library"; these two cannot be set. <see cref="Model.Provenance"/> reads all of it.
        /// </summary>
        /// <param name="key">The key.</param>
        /// <param name="json">Any JSON value; "null" removes the key.</param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for text that is no JSON, an empty or reserved key, or more than 256 KiB in
        /// all; nothing is changed then.
        /// </exception>
        public void SetProvenance(string key, string json) => SeedError.Check(Native.seed_student_set_provenance(Handle,
            Text.ToNative(key, nameof(key)), Text.ToNative(json, nameof(json))));

        /// <summary>
        /// Writes the student as it is now for other programs, to the student's image size and any batch size; a run may go on
        /// meanwhile. The file carries the student's description and provenance, which <see cref="Model.Open"/> reads. It is
        /// checked before it is in place: weights and ONNX models are read back and compared, TorchScript modules are run against
        /// the student. On an error what stood at the path is as it was. docs/export.md has a use of each format.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for options out of bounds and a student that has diverged;
        /// <see cref="ErrorCode.Unsupported"/> for an operation that the format lacks here, naming it, and an ONNX model of 2 GB
        /// and more; <see cref="ErrorCode.Io"/>.
        /// </exception>
        public void Export(string path, ExportFormat format = ExportFormat.Onnx, ExportInput input = ExportInput.Normalised,
            ExportOutputs outputs = ExportOutputs.Embedding)
        {
            var file = Text.ToNative(path, nameof(path));
            var options = ExportOptionsLayout.Of(format, input, outputs);
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_student_export(Handle, file, ref options));
            }
        }

        /// <summary>Releases the student. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
