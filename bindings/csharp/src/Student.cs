using System;

namespace LibSeed
{
    /// <summary>
    /// A compact network with a projection head. Trainers share it; sessions take a copy of its weights as they are when the
    /// session is made. Any number of threads may use it at once; they wait for a step that is writing the weights.
    /// </summary>
    public sealed class Student : IDisposable
    {
        private readonly StudentHandle handle;

        /// <summary>
        /// Makes a student with random weights, drawn from the configuration's "seed". The architecture is "resnet10",
        /// "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet50w2", "resnet50w4" (SwAV's wide ones),
        /// "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0" or "efficientnet_b1";
        /// "embedding_dim", "projection_hidden", "device", image size, mean and std come from the configuration.
        /// </summary>
        public Student(string architecture, Config config)
        {
            var name = Text.ToNative(architecture, nameof(architecture));
            var settings = Given.Object(config, nameof(config)).Handle;
            handle = SeedHandle.Make<StudentHandle>((out IntPtr result) =>
                Native.seed_student_new(name, settings, out result));
        }

        private Student(StudentHandle handle)
        {
            this.handle = handle;
        }

        internal StudentHandle Handle => handle.Alive(this);

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

        /// <summary>Releases the student. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
