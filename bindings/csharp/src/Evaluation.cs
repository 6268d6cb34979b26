using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>What <see cref="Evaluation.Knn"/> found; shares are 0 to 1.</summary>
    public sealed class KnnResult
    {
        internal KnnResult(KnnLayout from)
        {
            AccuracyMean = from.accuracy_mean;
            AccuracyDeviation = from.accuracy_deviation;
            BalancedRecallMean = from.balanced_recall_mean;
            BalancedRecallDeviation = from.balanced_recall_deviation;
        }

        /// <summary>Share of queries with the right class, mean over the splits.</summary>
        public double AccuracyMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double AccuracyDeviation { get; }

        /// <summary>Mean of the classes' recalls, mean over the splits.</summary>
        public double BalancedRecallMean { get; }

        /// <summary>Its standard deviation.</summary>
        public double BalancedRecallDeviation { get; }
    }

    /// <summary>How good vectors are.</summary>
    public static class Evaluation
    {
        /// <summary>
        /// Weighted kNN (votes exp(similarity/.07)) over random splits into 2/3 gallery and 1/3 queries. There is a class
        /// number from 0 for each vector. The splits depend on <paramref name="seed"/> and the number of vectors only, so
        /// different networks are judged on the same ones.
        /// </summary>
        public static unsafe KnnResult Knn(Embeddings embeddings, long[] labels, int k = 10, int splits = 5, ulong seed = 0)
        {
            Given.Object(embeddings, nameof(embeddings));
            if (Given.Object(labels, nameof(labels)).Length != embeddings.Count)
            {
                throw new ArgumentException(labels.Length + " labels, expected one for each of " + embeddings.Count +
                    " embeddings", nameof(labels));
            }
            var votes = Size.Of(k, nameof(k));
            var rounds = (uint)Size.Of(splits, nameof(splits));
            Library.Initialize();
            var result = new KnnLayout { struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(KnnLayout)) };
            using (InFlight.Begin())
            fixed (float* values = embeddings.Values)
            {
                fixed (long* classes = labels)
                {
                    SeedError.Check(Native.seed_knn_evaluate(values, (UIntPtr)(uint)embeddings.Count,
                        (UIntPtr)(uint)embeddings.Dim, classes, votes, rounds, seed, ref result));
                }
            }
            return new KnnResult(result);
        }

        /// <summary>
        /// The classes that weighted kNN gives the queries: of the <paramref name="k"/> nearest of the gallery by cosine each votes
        /// exp(similarity/temperature). <paramref name="labels"/> are the gallery's class numbers from 0.
        /// </summary>
        public static unsafe long[] KnnClassify(Embeddings queries, Embeddings gallery, long[] labels, int k = 10,
            double temperature = .07)
        {
            Given.Object(queries, nameof(queries));
            Given.Object(gallery, nameof(gallery));
            if (queries.Dim != gallery.Dim)
            {
                throw new ArgumentException("queries are " + queries.Dim + " wide, the gallery is " + gallery.Dim);
            }
            if (Given.Object(labels, nameof(labels)).Length != gallery.Count)
            {
                throw new ArgumentException(labels.Length + " labels, expected one for each of " + gallery.Count +
                    " embeddings", nameof(labels));
            }
            var near = Size.Of(k, nameof(k));
            Library.Initialize();
            var found = new long[queries.Count];
            using (InFlight.Begin())
            fixed (float* asked = queries.Values)
            {
                fixed (float* known = gallery.Values)
                {
                    fixed (long* classes = labels, answers = found)
                    {
                        UIntPtr length;
                        SeedError.Check(Native.seed_knn_classify(asked, (UIntPtr)(uint)queries.Count, known, classes,
                            (UIntPtr)(uint)gallery.Count, (UIntPtr)(uint)queries.Dim, near, temperature, answers,
                            (UIntPtr)(uint)found.Length, out length));
                    }
                }
            }
            return found;
        }

        /// <summary>
        /// The <paramref name="k"/> nearest of each vector by cosine, itself left out, nearest first: for each a list of k
        /// rows.
        /// </summary>
        public static unsafe uint[][] Neighbours(Embeddings embeddings, int k)
        {
            Given.Object(embeddings, nameof(embeddings));
            var near = Size.Of(k, nameof(k));
            Library.Initialize();
            uint[] found;
            using (InFlight.Begin())
            fixed (float* values = embeddings.Values)
            {
                var address = (IntPtr)values;
                found = Filling.Array<uint>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_neighbours((float*)address, (UIntPtr)(uint)embeddings.Count, (UIntPtr)(uint)embeddings.Dim,
                        near, buffer, capacity, out length));
            }
            return Nearest.InRows(found, embeddings.Count, k);
        }

        /// <summary>
        /// The <paramref name="k"/> nearest vectors of a gallery for each query by cosine, nearest first.
        /// </summary>
        public static unsafe Nearest Neighbours(Embeddings queries, Embeddings gallery, int k)
        {
            Given.Object(queries, nameof(queries));
            Given.Object(gallery, nameof(gallery));
            if (queries.Dim != gallery.Dim)
            {
                throw new ArgumentException("queries are " + queries.Dim + " wide, the gallery is " + gallery.Dim);
            }
            var near = Size.Of(k, nameof(k));
            Library.Initialize();
            using (InFlight.Begin())
            fixed (float* asked = queries.Values)
            {
                fixed (float* known = gallery.Values)
                {
                    IntPtr left = (IntPtr)asked, right = (IntPtr)known;
                    return Nearest.Ask(queries.Count, k, (indices, cosines, capacity) =>
                    {
                        UIntPtr length;
                        return Native.seed_neighbours_in((float*)left, (UIntPtr)(uint)queries.Count, (float*)right,
                            (UIntPtr)(uint)gallery.Count, (UIntPtr)(uint)queries.Dim, near, (uint*)indices, (float*)cosines,
                            capacity, out length);
                    });
                }
            }
        }

        /// <summary>
        /// How well a student keeps its teacher's neighbourhoods: the share of each image's <paramref name="k"/> nearest by the
        /// teacher that are among its k nearest by the student, mean over the images, 0 to 1. Both hold a row for each image.
        /// </summary>
        public static unsafe double Agreement(Embeddings student, Embeddings teacher, int k)
        {
            Given.Object(student, nameof(student));
            Given.Object(teacher, nameof(teacher));
            if (student.Count != teacher.Count)
            {
                throw new ArgumentException("the student has " + student.Count + " embeddings and the teacher " +
                    teacher.Count);
            }
            var near = Size.Of(k, nameof(k));
            Library.Initialize();
            using (InFlight.Begin())
            fixed (float* left = student.Values)
            {
                fixed (float* right = teacher.Values)
                {
                    double share;
                    SeedError.Check(Native.seed_agreement(left, (UIntPtr)(uint)student.Dim, right,
                        (UIntPtr)(uint)teacher.Dim, (UIntPtr)(uint)student.Count, near, out share));
                    return share;
                }
            }
        }
    }
}
