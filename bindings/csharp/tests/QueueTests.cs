using System;
using System.IO;
using System.Linq;

namespace LibSeed.Tests
{
    internal static class QueueTests
    {
        [Test]
        public static void RowsArePushedAndCompared()
        {
            using (var queue = new Queue(4, 2, 7))
            {
                Expect.Equal(4, queue.Capacity);
                Expect.Equal(2, queue.Dim);
                Expect.Equal(0, queue.Length);
                queue.Push(new Embeddings(new float[] { 3, 0, 0, 5, 1, 1, -2, 0 }, 2));
                Expect.Equal(4, queue.Length);
                var found = queue.Similarities(new Embeddings(new float[] { 1, 0, 0, 1 }, 2));
                Expect.Equal(2, found.Count);
                Expect.Equal(4, found.Dim);
                Expect.Near(1, found.Row(0)[0], 1e-6);
                Expect.Near(0, found.Row(0)[1], 1e-6);
                Expect.Near(Math.Sqrt(.5), found.Row(0)[2], 1e-6);
                Expect.Near(-1, found.Row(0)[3], 1e-6);
                Expect.Near(1, found.Row(1)[1], 1e-6);
            }
        }

        [Test]
        public static void SavedQueueIsTheSame()
        {
            var file = Path.Combine(Fixtures.Folder(), "queue.safetensors");
            var query = new Embeddings(new float[] { .3f, .5f, .1f }, 3);
            using (var queue = new Queue(5, 3, 9))
            {
                queue.Push(new Embeddings(new float[] { 1, 2, 3 }, 3));
                queue.Save(file);
                using (var loaded = Queue.Load(file))
                {
                    Expect.Equal(1, loaded.Length);
                    Expect.Equal(string.Join(" ", queue.Similarities(query).Values), string.Join(" ", loaded.Similarities(query).Values));
                }
            }
            Expect.Fails(ErrorCode.Io, () => Queue.Load(file + ".none"));
        }

        [Test]
        public static void QueueIsLookedInto()
        {
            using (var queue = new Queue(4, 2, 7))
            {
                queue.Push(new Embeddings(new float[] { 3, 0, 0, 5, 1, 1 }, 2));
                var rows = queue.Rows(1, 2);
                Expect.Equal(2, rows.Count);
                Expect.Near(1, rows.Row(0)[1], 1e-6);
                Expect.Near(Math.Sqrt(.5), rows.Row(1)[0], 1e-6);
                Expect.Equal(0, queue.Rows(4, 0).Count);
                var found = queue.Nearest(new Embeddings(new float[] { 0, 1, 1, .1f }, 2), 2);
                Expect.Equal("1 2|0 2", string.Join("|", found.Indices.Select(row => string.Join(" ", row))));
                Expect.Near(1, found.Cosines[0][0], 1e-6);
                Expect.Near(Math.Sqrt(.5), found.Cosines[0][1], 1e-6);
                var query = new Embeddings(new float[] { 0, 1 }, 2);
                foreach (var k in new[] { 0, 4, int.MaxValue })
                {
                    // Three rows were pushed; what is refused takes no memory.
                    Expect.Fails(ErrorCode.InvalidArgument, () => queue.Nearest(query, k));
                }
                Expect.Throws<ArgumentOutOfRangeException>(() => queue.Nearest(query, -1));
                Expect.Fails(ErrorCode.Mismatch, () => queue.Nearest(new Embeddings(new float[3], 3), 1));
                Expect.Fails(ErrorCode.InvalidArgument, () => queue.Rows(3, 2));
                Expect.Throws<ArgumentOutOfRangeException>(() => queue.Rows(-1, 1));
                Expect.Throws<ArgumentOutOfRangeException>(() => queue.Rows(0, -1));
            }
        }

        [Test]
        public static void SnapshotsArePutBack()
        {
            using (var queue = new Queue(4, 2, 7))
            using (var wide = new Queue(5, 2, 7))
            {
                queue.Push(new Embeddings(new float[] { 1, 0 }, 2));
                var before = string.Join(" ", queue.Rows(0, 4).Values);
                using (var snapshot = queue.Snapshot())
                {
                    queue.Push(new Embeddings(new float[] { 0, 1, 0, -1 }, 2));
                    Expect.Equal(1, snapshot.Length);
                    queue.Restore(snapshot);
                }
                queue.Restore(queue);
                Expect.Equal(before, string.Join(" ", queue.Rows(0, 4).Values));
                Expect.Equal(1, queue.Length);
                Expect.Fails(ErrorCode.Mismatch, () => queue.Restore(wide));
                Expect.Throws<ArgumentNullException>(() => queue.Restore(null));
            }
        }

        [Test]
        public static void WrongSizesAreRefused()
        {
            Expect.Throws<ArgumentOutOfRangeException>(() => new Queue(-1, 2));
            Expect.Fails(ErrorCode.InvalidArgument, () => new Queue(0, 2));
            using (var queue = new Queue(4, 2))
            {
                Expect.True(Expect.Throws<SeedException>(() => queue.Push(new Embeddings(new float[3], 3))).Code != ErrorCode.Internal, "no bug");
                Expect.Throws<ArgumentException>(() => queue.Push(new Embeddings(new float[3], 2)));
                Expect.Throws<ArgumentNullException>(() => queue.Push(null));
                Expect.Equal(0, queue.Length);
            }
        }
    }
}
