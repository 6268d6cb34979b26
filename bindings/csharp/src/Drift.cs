using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What a batch says about a reference.</summary>
    public sealed class DriftSignal
    {
        private readonly DriftSignalLayout layout;

        internal DriftSignal(DriftSignalLayout from)
        {
            layout = from;
            Energy = from.energy;
            Threshold = from.threshold;
            PValue = from.p_value;
            Nearest = from.nearest;
            NearestReference = from.nearest_reference;
            Outside = from.outside;
            IsRaised = from.raised != 0;
        }

        /// <summary>Energy distance of the batch from the reference; about 0 when nothing has changed.</summary>
        public double Energy { get; }

        /// <summary>What one of a hundred batches of the reference's own rows exceeds.</summary>
        public double Threshold { get; }

        /// <summary>Share of the reference's own batches that reach this energy, from 1/1000 on.</summary>
        public double PValue { get; }

        /// <summary>Mean of 1 − cosine to the nearest reference row.</summary>
        public double Nearest { get; }

        /// <summary>The same of the reference's own rows.</summary>
        public double NearestReference { get; }

        /// <summary>Share of the batch that is farther from the reference than 99 % of its own rows.</summary>
        public double Outside { get; }

        /// <summary>Whether the energy is above the threshold.</summary>
        public bool IsRaised { get; }

        internal DriftSignalLayout Layout() => layout;
    }

    /// <summary>
    /// A reference of embeddings that tells when a station's images are no longer those that a student was made for. Any number of
    /// threads may use it at once.
    /// </summary>
    public sealed class Drift : IDisposable
    {
        private readonly DriftHandle handle;

        /// <summary>
        /// Makes a reference of embeddings, at least 20, better some hundreds; of more than 4096, as many at even distances are used.
        /// </summary>
        public unsafe Drift(Embeddings embeddings)
        {
            fixed (float* values = Given.Object(embeddings, nameof(embeddings)).Values)
            {
                var first = (IntPtr)values;
                handle = SeedHandle.Make<DriftHandle>((out IntPtr result) => Native.seed_drift_new((float*)first,
                    (UIntPtr)(uint)embeddings.Count, (UIntPtr)(uint)embeddings.Dim, out result));
            }
        }

        private Drift(DriftHandle handle)
        {
            this.handle = handle;
        }

        /// <summary>Reads a reference that <see cref="Save"/> wrote.</summary>
        public static Drift Load(string path)
        {
            var file = Text.ToNative(path, nameof(path));
            return new Drift(SeedHandle.Make<DriftHandle>((out IntPtr result) => Native.seed_drift_load(file, out result)));
        }

        /// <summary>
        /// Notes that the reference is of embeddings of the session: how its frames become its input, which <see cref="Save"/> keeps. A
        /// reference that knows it already is compared instead.
        /// </summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Mismatch"/> where its frames were seen in another way.</exception>
        public void SetSession(Session session) =>
            SeedError.Check(Native.seed_drift_set_session(handle.Alive(this), Given.Object(session, nameof(session)).Handle));

        /// <summary>Writes the reference to a safetensors file, atomically: keep it beside the student.</summary>
        public void Save(string path) =>
            SeedError.Check(Native.seed_drift_save(handle.Alive(this), Text.ToNative(path, nameof(path))));

        /// <summary>
        /// What a batch of the same student's embeddings says, 2 to half of the reference's rows. The first batch of a size takes
        /// longest.
        /// </summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Mismatch"/> for another width.</exception>
        public unsafe DriftSignal Measure(Embeddings batch)
        {
            var signal = new DriftSignalLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(DriftSignalLayout)) };
            using (InFlight.Begin())
            fixed (float* values = Given.Object(batch, nameof(batch)).Values)
            {
                SeedError.Check(Native.seed_drift_measure(handle.Alive(this), values, (UIntPtr)(uint)batch.Count,
                    (UIntPtr)(uint)batch.Dim, ref signal));
            }
            return new DriftSignal(signal);
        }

        /// <summary>Releases the reference.</summary>
        public void Dispose() => handle.Dispose();
    }
}
