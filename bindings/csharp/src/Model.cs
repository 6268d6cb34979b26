using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What follows the features of a network.</summary>
    public enum HeadKind
    {
        /// <summary>Nothing follows the features.</summary>
        None = 0,
        /// <summary>Linear, ReLU, linear.</summary>
        Projection = 1,
        /// <summary>Linear, batch norm, ReLU, linear.</summary>
        NormedProjection = 2,
        /// <summary>A linear layer to classes.</summary>
        Classifier = 3,
        /// <summary>One linear layer to the embedding, as MoCo-v1's.</summary>
        LinearProjection = 4,
    }

    /// <summary>How a frame becomes the network's image: the values of the setting "resize".</summary>
    public enum Resize
    {
        /// <summary>All of a frame, each side resized to the network's.</summary>
        Whole = 0,
        /// <summary>All of a frame with its aspect ratio, padded by the mean colour.</summary>
        Letterbox = 1,
        /// <summary>The shorter side resized to size · 256/224 and the middle cut out.</summary>
        Centre = 2,
    }

    /// <summary>
    /// What a network is, in figures and words, as it was when this was made. Any number of threads may use it at once.
    /// </summary>
    public sealed class Model : IDisposable
    {
        private readonly ModelHandle handle;

        private Model(SeedHandle.Construct construct)
        {
            handle = SeedHandle.Make<ModelHandle>(construct);
        }

        internal ModelHandle Handle => handle.Alive(this);

        /// <summary>The names that <see cref="Student"/> and <see cref="Teacher"/> know.</summary>
        public static IReadOnlyList<string> Architectures
        {
            get
            {
                Library.Initialize();
                UIntPtr count;
                SeedError.Check(Native.seed_architecture_count(out count));
                var names = new string[Size.Int(count)];
                for (var i = 0; i < names.Length; i++)
                {
                    var number = (UIntPtr)(uint)i;
                    names[i] = Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                        Native.seed_architecture_name(number, buffer, capacity, out length));
                }
                return names;
            }
        }

        /// <summary>The network in figures.</summary>
        public ModelInfo Info
        {
            get
            {
                var info = new ModelInfoLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(ModelInfoLayout)) };
                SeedError.Check(Native.seed_model_get_info(Handle, ref info));
                return new ModelInfo(info);
            }
        }

        /// <summary>The name of the architecture, such as "resnet18".</summary>
        public string Architecture => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_model_architecture(Handle, buffer, capacity, out length));

        /// <summary>
        /// Which samples of a frame become which of 256 levels, as pairs that <see cref="Config.Parse"/> takes.
        /// </summary>
        public string Range => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_model_range(Handle, buffer, capacity, out length));

        /// <summary>
        /// Where the network comes from, a JSON object: "library", "distillation" (teacher, images, steps, loss, settings) and
        /// what the application set by <see cref="Student.SetProvenance"/>. "{}" where nothing is known.
        /// </summary>
        public string Provenance => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_model_provenance(Handle, buffer, capacity, out length));

        /// <summary>
        /// Describes the student that would be made of an architecture and a configuration, without making it: image size,
        /// "embedding_dim", "projection_hidden", mean and std come from the configuration. It takes milliseconds and hardly any
        /// memory.
        /// </summary>
        public static Model Of(string architecture, Config config)
        {
            var name = Text.ToNative(architecture, nameof(architecture));
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Model((out IntPtr result) => Native.seed_model_new(name, settings, out result));
        }

        /// <summary>Describes a student, its provenance as it is now.</summary>
        public static Model Of(Student student)
        {
            var network = Given.Object(student, nameof(student)).Handle;
            return new Model((out IntPtr result) => Native.seed_model_from_student(network, out result));
        }

        /// <summary>
        /// Describes a teacher for images of the configuration's size, mean and std, which a teacher itself does not have.
        /// </summary>
        public static Model Of(Teacher teacher, Config config)
        {
            var network = Given.Object(teacher, nameof(teacher)).Handle;
            var settings = Given.Object(config, nameof(config)).Handle;
            return new Model((out IntPtr result) => Native.seed_model_from_teacher(network, settings, out result));
        }

        /// <summary>Describes the network that a session runs now.</summary>
        public static Model Of(Session session)
        {
            var network = Given.Object(session, nameof(session)).Handle;
            return new Model((out IntPtr result) => Native.seed_model_from_session(network, out result));
        }

        /// <summary>
        /// Describes the network in a file without reading its weights: one of <see cref="Student.Save"/>, or of
        /// <see cref="Student.Export"/> in any format. Nothing in the file is executed.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a file that the library did not write or that is
        /// damaged.
        /// </exception>
        public static Model Open(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            return new Model((out IntPtr result) => Native.seed_model_open(file, out result));
        }

        /// <summary>
        /// Says what a file of weights holds, as JSON: "format" ("safetensors", "torch_zip" or "torch_legacy"), "metadata" (the
        /// texts in the file) and "states", one for each state dict, with the keys it lies "under", the number of "tensors" and
        /// "elements", the element "types", the "first_names", and "networks": each architecture whose weights all are there,
        /// with "architecture", "layout" (whose names they are), "prefix" (what stands before each name) and "head" ("kind" and
        /// widths). Where there is none, "nearest" is the architecture that has the largest share of its tensors there. The file
        /// is read as data, and its tensors' bytes are not read.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/>, <see cref="ErrorCode.Format"/> for a damaged or hostile file.
        /// </exception>
        public static string DescribeWeights(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            Library.Initialize();
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_weights_describe(file, buffer, capacity, out length));
        }

        /// <summary>Releases the model.</summary>
        public void Dispose() => handle.Dispose();
    }
}
