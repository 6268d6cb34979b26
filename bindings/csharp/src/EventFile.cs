using System;

namespace LibSeed
{
    /// <summary>
    /// A file of scalars that TensorBoard reads, for what the application measures. Distillation and full fine-tuning
    /// write their own where "tensorboard_folder" is set. For one thread at a time.
    /// </summary>
    public sealed class EventFile : IDisposable
    {
        private readonly EventFileHandle handle;

        /// <summary>
        /// Begins a new file in a folder, which is made where it is absent and may hold earlier ones: what they say about
        /// <paramref name="firstStep"/> and later steps is dropped.
        /// </summary>
        public EventFile(string folder, ulong firstStep = 0)
        {
            var place = Text.ToNative(folder, nameof(folder));
            handle = SeedHandle.Make<EventFileHandle>((out IntPtr result) => Native.seed_event_file_new(place, firstStep, out result));
        }

        /// <summary>Writes a value of a tag at a step; a tag "a/b" is shown in group a.</summary>
        public void AddScalar(string tag, ulong step, double value) => SeedError.Check(
            Native.seed_event_file_add_scalar(handle.Alive(this), Text.ToNative(tag, nameof(tag)), step, value));

        /// <summary>Closes the file.</summary>
        public void Dispose() => handle.Dispose();
    }
}
