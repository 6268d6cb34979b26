using System;
using System.Linq;

namespace LibSeed.Tests
{
    internal static class EvaluationTests
    {
        // Rows around 0° and, from the middle on, around 90°.
        private static Embeddings Clusters(int count)
        {
            return new Embeddings(Enumerable.Range(0, count).SelectMany(i =>
            {
                var angle = (i < count / 2 ? 0 : Math.PI / 2) + .002 * (i * i % 37);
                return new[] { (float)Math.Cos(angle), (float)Math.Sin(angle) };
            }).ToArray(), 2);
        }

        [Test]
        public static void NeighboursAreFound()
        {
            var rows = new Embeddings(new float[] { 1, 0, .9f, .1f, 0, 1, .2f, .9f }, 2);
            var nearest = Evaluation.Neighbours(rows, 2);
            Expect.Equal("1 3|0 3|3 1|2 1", string.Join("|", nearest.Select(row => string.Join(" ", row))));
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.Neighbours(rows, 4));
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.Neighbours(rows, 0));
            Expect.Throws<ArgumentOutOfRangeException>(() => Evaluation.Neighbours(rows, -1));
            Expect.Throws<ArgumentNullException>(() => Evaluation.Neighbours(null, 1));
        }

        [Test]
        public static void NeighboursInAGallery()
        {
            var gallery = new Embeddings(new float[] { 1, 0, 0, 2, -1, 0 }, 2);
            var queries = new Embeddings(new float[] { .1f, .5f, -3, .1f }, 2);
            var found = Evaluation.Neighbours(queries, gallery, 3);
            Expect.Equal("1 0 2|2 1 0", string.Join("|", found.Indices.Select(row => string.Join(" ", row))));
            Expect.Near(.5 / Math.Sqrt(.26), found.Cosines[0][0], 1e-6);
            foreach (var k in new[] { 0, 4, int.MaxValue })
            {
                Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.Neighbours(queries, gallery, k));
            }
            Expect.Throws<ArgumentOutOfRangeException>(() => Evaluation.Neighbours(queries, gallery, -1));
            Expect.Throws<ArgumentException>(() => Evaluation.Neighbours(new Embeddings(new float[3], 3), gallery, 1));
            Expect.Throws<ArgumentNullException>(() => Evaluation.Neighbours(queries, null, 1));
        }

        [Test]
        public static void KnnJudges()
        {
            var rows = Clusters(60);
            var right = Enumerable.Range(0, 60).Select(i => (long)(i / 30)).ToArray();
            var found = Evaluation.Knn(rows, right, 5, 3, 1);
            Expect.Near(1, found.AccuracyMean, 0);
            Expect.Near(0, found.AccuracyDeviation, 0);
            Expect.Near(1, found.BalancedRecallMean, 0);
            Expect.Near(0, found.BalancedRecallDeviation, 0);
            var mixed = Evaluation.Knn(rows, Enumerable.Range(0, 60).Select(i => (long)(i % 2)).ToArray(), 5, 3, 1);
            Expect.True(mixed.AccuracyMean < .9 && mixed.AccuracyMean > .1, "no class is found in mixed labels: " + mixed.AccuracyMean);
            Expect.Throws<ArgumentException>(() => Evaluation.Knn(rows, new long[59]));
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.Knn(rows, Enumerable.Repeat(-1L, 60).ToArray()));
        }

        [Test]
        public static void KnnClassifiesByAGallery()
        {
            var gallery = new Embeddings(new float[] { 1, 0, 0, 1, .9f, .1f }, 2);
            var queries = new Embeddings(new float[] { .1f, .5f, 3, 1 }, 2);
            var labels = new long[] { 4, 9, 9 };
            Expect.True(Evaluation.KnnClassify(queries, gallery, labels, 1).SequenceEqual(new long[] { 9, 9 }), "the nearest alone");
            // The second query's neighbours have cosines of .949 and .981, then .316.
            Expect.True(Evaluation.KnnClassify(queries, gallery, labels, 3, 1).SequenceEqual(new long[] { 9, 9 }), "all vote");
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.KnnClassify(queries, gallery, labels, 4));
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.KnnClassify(queries, gallery, labels, 1, 0));
            Expect.Fails(ErrorCode.InvalidArgument, () => Evaluation.KnnClassify(queries, gallery, new long[] { 4, -1, 9 }, 1));
            Expect.Throws<ArgumentException>(() => Evaluation.KnnClassify(queries, gallery, new long[2], 1));
            Expect.Throws<ArgumentException>(() => Evaluation.KnnClassify(new Embeddings(new float[3], 3), gallery, labels, 1));
            Expect.Throws<ArgumentNullException>(() => Evaluation.KnnClassify(queries, null, labels, 1));
        }

        [Test]
        public static void AgreementIsAShare()
        {
            var rows = Clusters(20);
            Expect.Near(1, Evaluation.Agreement(rows, rows, 3), 0);
            // Fewer columns, other neighbours.
            var other = new Embeddings(Enumerable.Range(0, 60).Select(i => (float)Math.Sin(i * i)).ToArray(), 3);
            var share = Evaluation.Agreement(rows, other, 3);
            Expect.True(share > 0 && share < .8, "a share, found " + share);
            Expect.Throws<ArgumentException>(() => Evaluation.Agreement(rows, Clusters(10), 3));
        }

        [Test]
        public static void RealImagesHaveNeighbours()
        {
            using (var frames = new Dataset())
            {
                foreach (var period in new[] { 2, 15, 2, 15 })
                {
                    frames.Push(Fixtures.Striped(period));
                }
                var vectors = Fixtures.TellingSession.Embed(frames);
                Expect.Equal("2 3 0 1", string.Join(" ", Evaluation.Neighbours(vectors, 1).Select(row => row[0])));
                Expect.Near(1, vectors.Cosine(0, 2), 1e-6);
                Expect.True(vectors.Cosine(0, 1) < vectors.Cosine(0, 2), "others are less alike");
            }
        }

        [Test]
        public static void RowsHaveBounds()
        {
            var rows = Clusters(4);
            Expect.Throws<ArgumentOutOfRangeException>(() => rows.Row(4));
            Expect.Throws<ArgumentOutOfRangeException>(() => rows.Cosine(0, -1));
            Expect.Throws<ArgumentException>(() => new Embeddings(new float[3], 2));
            Expect.Throws<ArgumentException>(() => new Embeddings(new float[3], 0));
            var row = rows.Row(1);
            row[0] = 7;
            Expect.Equal(7f, rows.Values[2]);
            Expect.Near(0, new Embeddings(new float[4], 2).Cosine(0, 1), 0);
        }
    }
}
