using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>A mean and its 95 % confidence interval.</summary>
    public struct Interval
    {
        /// <summary>Puts the three together.</summary>
        public Interval(double value, double low, double high)
        {
            Value = value;
            Low = low;
            High = high;
        }

        internal Interval(IntervalLayout from) : this(from.value, from.low, from.high)
        {
        }

        /// <summary>The mean.</summary>
        public double Value { get; }

        /// <summary>The interval's lower end.</summary>
        public double Low { get; }

        /// <summary>The interval's upper end.</summary>
        public double High { get; }

        internal IntervalLayout Layout() => new IntervalLayout { value = Value, low = Low, high = High };
    }

    /// <summary>Which figures have become worse.</summary>
    [Flags]
    public enum Worse
    {
        /// <summary>None.</summary>
        None = 0,
        /// <summary><see cref="Fidelity.Kl"/>.</summary>
        Kl = 1,
        /// <summary><see cref="Fidelity.Overlap"/>.</summary>
        Overlap = 2,
        /// <summary><see cref="Fidelity.Cosine"/>.</summary>
        Cosine = 4,
    }

    /// <summary>
    /// How well a student reproduces its teacher. Keep it when the student is made, and make it again of what was kept, to compare.
    /// </summary>
    public sealed class Fidelity
    {
        /// <summary>Frames that were measured.</summary>
        public int Frames { get; set; }

        /// <summary>Neighbours of the overlap.</summary>
        public int K { get; set; }

        /// <summary>Embeddings of the queue.</summary>
        public int Queue { get; set; }

        /// <summary>Of the student's softmax.</summary>
        public double TemperatureStudent { get; set; }

        /// <summary>Of the teacher's softmax.</summary>
        public double TemperatureTeacher { get; set; }

        /// <summary>
        /// Mean Kullback–Leibler divergence of the student's softmax over the queue from the teacher's, in nats.
        /// </summary>
        public Interval Kl { get; set; }

        /// <summary>Mean share of the teacher's k nearest among the student's, 0 to 1.</summary>
        public Interval Overlap { get; set; }

        /// <summary>Mean cosine between both embeddings, −1 to 1.</summary>
        public Interval Cosine { get; set; }

        /// <summary>
        /// Measures a student by its teacher: embeddings of both for the same frames, against a queue of the teacher's. Measure again
        /// with the same queue and as many frames of today. Temperatures of 0 are the paper's, .2 and .01.
        /// </summary>
        public static unsafe Fidelity Measure(Embeddings student, Embeddings teacher, Embeddings queue, int k = 10,
            double temperatureStudent = 0, double temperatureTeacher = 0, ulong seed = 0)
        {
            Given.Object(student, nameof(student));
            Given.Object(teacher, nameof(teacher));
            Given.Object(queue, nameof(queue));
            if (student.Count != teacher.Count || student.Dim != teacher.Dim || student.Dim != queue.Dim)
            {
                throw new ArgumentException("the student has " + student.Count + " embeddings of " + student.Dim + " numbers, the teacher " +
                    teacher.Count + " of " + teacher.Dim + " and the queue's have " + queue.Dim);
            }
            var near = Size.Of(k, nameof(k));
            Library.Initialize();
            var result = new FidelityLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(FidelityLayout)) };
            using (InFlight.Begin())
            fixed (float* pupil = student.Values, master = teacher.Values, kept = queue.Values)
            {
                SeedError.Check(Native.seed_fidelity_measure(pupil, master, (UIntPtr)(uint)student.Count, (UIntPtr)(uint)student.Dim, kept,
                    (UIntPtr)(uint)queue.Count, near, temperatureStudent, temperatureTeacher, seed, ref result));
            }
            return new Fidelity
            {
                Frames = Size.Int(result.frames),
                K = Size.Int(result.k),
                Queue = Size.Int(result.queue),
                TemperatureStudent = result.temperature_student,
                TemperatureTeacher = result.temperature_teacher,
                Kl = new Interval(result.kl),
                Overlap = new Interval(result.overlap),
                Cosine = new Interval(result.cosine),
            };
        }

        /// <summary>Which figures have become worse since then, so that the intervals do not touch.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Mismatch"/> when the two were not measured alike.
        /// </exception>
        public Worse WorseThan(Fidelity then)
        {
            FidelityLayout before = Given.Object(then, nameof(then)).Layout(), now = Layout();
            Library.Initialize();
            int worse;
            SeedError.Check(Native.seed_fidelity_compare(ref before, ref now, out worse));
            return (Worse)worse;
        }

        private FidelityLayout Layout() => new FidelityLayout
        {
            struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(FidelityLayout)),
            frames = Size.Of(Frames, nameof(Frames)),
            k = Size.Of(K, nameof(K)),
            queue = Size.Of(Queue, nameof(Queue)),
            temperature_student = TemperatureStudent,
            temperature_teacher = TemperatureTeacher,
            kl = Kl.Layout(),
            overlap = Overlap.Layout(),
            cosine = Cosine.Layout(),
        };
    }
}
