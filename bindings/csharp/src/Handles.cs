using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed
{
    // Owns one object of the library. The marshaller counts a reference for the length of each call, so neither Dispose in
    // another thread nor the garbage collector takes the object from under a call: the last reference frees it.
    internal abstract class SeedHandle : SafeHandle
    {
        internal delegate IntPtr Construct(out IntPtr result);

        private static int open;

        private volatile bool disposed;

        protected SeedHandle() : base(IntPtr.Zero, true)
        {
        }

        // Objects that were made and not freed yet; tests watch it.
        internal static int Open => Volatile.Read(ref open);

        // Whether Dispose was called. IsClosed comes later, with the end of the last call, and calls that overlap would keep the
        // object usable for ever.
        internal bool IsDisposed => disposed;

        public override bool IsInvalid => handle == IntPtr.Zero;

        // The handle object is there before the library's object, so that no lack of memory can lose the latter.
        internal static T Make<T>(Construct construct) where T : SeedHandle, new()
        {
            Library.Initialize();
            var made = new T();
            IntPtr result;
            using (InFlight.Begin())
            {
                SeedError.Check(construct(out result));
            }
            made.SetHandle(result);
            Interlocked.Increment(ref open);
            return made;
        }

        // As Make, but null where the constructor gives no object; its error is the caller's to look at.
        internal static T MakeOr<T>(Construct construct) where T : SeedHandle, new()
        {
            var made = new T();
            IntPtr result;
            construct(out result);
            if (result == IntPtr.Zero)
            {
                GC.SuppressFinalize(made);
                return null;
            }
            made.SetHandle(result);
            Interlocked.Increment(ref open);
            return made;
        }

        // Hands the object out: whoever has it frees it.
        internal IntPtr Detach()
        {
            disposed = true;
            SetHandleAsInvalid();
            Interlocked.Decrement(ref open);
            return handle;
        }

        protected abstract void Free(IntPtr value);

        protected override void Dispose(bool disposing)
        {
            disposed = true;
            base.Dispose(disposing);
        }

        protected sealed override bool ReleaseHandle()
        {
            Free(handle);
            Interlocked.Decrement(ref open);
            return true;
        }
    }

    internal static class Handles
    {
        // The handle of an object that was not disposed; its error names the class.
        internal static T Alive<T>(this T handle, object owner) where T : SeedHandle
        {
            if (handle.IsDisposed)
            {
                throw new ObjectDisposedException(owner.GetType().Name);
            }
            return handle;
        }
    }

    internal sealed class AnomalyHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_anomaly_free(value);
    }

    internal sealed class SegmenterHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_segmenter_free(value);
    }

    internal sealed class BankHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_bank_free(value);
    }

    internal sealed class CancelTokenHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_cancel_token_free(value);
    }

    internal sealed class ClassifierHandle : SeedHandle
    {
        internal static readonly ClassifierHandle None = new ClassifierHandle();

        protected override void Free(IntPtr value) => Native.seed_classifier_free(value);
    }

    internal sealed class ConfigHandle : SeedHandle
    {
        internal static readonly ConfigHandle None = new ConfigHandle();

        protected override void Free(IntPtr value) => Native.seed_config_free(value);
    }

    internal sealed class DatasetHandle : SeedHandle
    {
        // What stands for NULL.
        internal static readonly DatasetHandle None = new DatasetHandle();

        protected override void Free(IntPtr value) => Native.seed_dataset_free(value);
    }

    internal sealed class DistilledHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_distilled_free(value);
    }

    internal sealed class DlpackHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => DlpackLayout.Delete(value);
    }

    internal sealed class DriftHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_drift_free(value);
    }

    internal sealed class EmbeddingsHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_embeddings_free(value);
    }

    internal sealed class ModelHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_model_free(value);
    }

    internal sealed class QueueHandle : SeedHandle
    {
        internal static readonly QueueHandle None = new QueueHandle();

        protected override void Free(IntPtr value) => Native.seed_queue_free(value);
    }

    internal sealed class EventFileHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_event_file_free(value);
    }

    internal sealed class ReportHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_report_free(value);
    }

    internal sealed class SessionHandle : SeedHandle
    {
        internal static readonly SessionHandle None = new SessionHandle();

        protected override void Free(IntPtr value) => Native.seed_session_free(value);
    }

    internal sealed class StoreHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_store_free(value);
    }

    internal sealed class StudentHandle : SeedHandle
    {
        internal static readonly StudentHandle None = new StudentHandle();

        protected override void Free(IntPtr value) => Native.seed_student_free(value);
    }

    internal sealed class TeacherHandle : SeedHandle
    {
        internal static readonly TeacherHandle None = new TeacherHandle();

        protected override void Free(IntPtr value) => Native.seed_teacher_free(value);
    }

    internal sealed class TrainerHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_trainer_free(value);
    }

    internal sealed class WorldHandle : SeedHandle
    {
        protected override void Free(IntPtr value) => Native.seed_world_free(value);
    }
}
