using System;

namespace LibSeed
{
    /// <summary>A frozen network. Any number of threads may use it at once.</summary>
    public sealed class Teacher : IDisposable
    {
        private readonly TeacherHandle handle;

        private Teacher(TeacherHandle handle)
        {
            this.handle = handle;
        }

        internal TeacherHandle Handle => handle.Alive(this);

        /// <summary>The width of the embedding; set "embedding_dim" to it before making the student.</summary>
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

        /// <summary>Releases the teacher. Trainers and sessions made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
