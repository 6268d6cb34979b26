using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class StoreTests
    {
        private static string NewPath() => Path.Combine(Fixtures.Folder(), "frames.store");

        [Test]
        public static void WhatIsGivenComesBack()
        {
            var file = File.ReadAllBytes(Path.Combine(Fixtures.ImageFolder(3), "02.png"));
            var when = new DateTimeOffset(2026, 11, 24, 6, 30, 0, TimeSpan.FromHours(2)).AddTicks(1234560);
            using (var store = Store.Open(NewPath()))
            {
                var embedding = new float[] { 3, 0, 4 };
                Expect.Equal(1L, store.Push(Fixtures.Striped(3), new StoreEntry
                {
                    Name = "Teil ü", Metadata = "{\"line\": 4}", Time = when, Embedding = embedding, Class = 2, ClassText = "scratch",
                }, Timeout.InfiniteTimeSpan));
                // The entry is read during the call only.
                embedding[0] = 77;
                Expect.Equal(2L, store.PushEncoded(file, new StoreEntry { Embedding = new float[] { 0, 1, 0 } }, TimeSpan.FromSeconds(5)));
                Expect.Equal(3L, store.Push(new ReadOnlySpan<byte>(Fixtures.Stripes(4)), 40, 36, PixelFormat.Mono8));
                store.Flush();
                var record = store.Describe(1);
                Expect.Equal(when, record.Time);
                Expect.Equal("1 2 40 36 1 8 Png", string.Join(" ", record.Id, record.Class, record.Width, record.Height, record.Channels,
                    record.Bits, record.Encoding));
                Expect.Equal((long)store.Encoded(1).Length, record.Bytes);
                Expect.Equal("Teil ü {\"line\": 4} scratch", store.Name(1) + " " + store.Metadata(1) + " " + store.ClassText(1));
                Expect.True(store.Pixels(1).Pixels.SequenceEqual(Fixtures.Stripes(3)), "the pixels");
                Expect.True(store.Pixels(3).Pixels.SequenceEqual(Fixtures.Stripes(4)), "the span's pixels");
                Expect.True(store.Encoded(2).SequenceEqual(file), "the file");
                var vector = store.Embedding(1);
                Expect.Equal(3, vector.Length);
                Expect.Near(.6, vector[0], 1e-6);
                Expect.Near(.8, vector[2], 1e-6);
                Expect.Equal(0, store.Embedding(3).Length);
                Expect.Equal((long?)null, store.Describe(2).Class);
                Expect.True((DateTimeOffset.UtcNow - store.Describe(2).Time).Duration() < TimeSpan.FromMinutes(1), "the clock's now");
                Expect.Equal("", store.Trouble);
                var stats = store.Stats();
                Expect.Equal("3 3 3 0", string.Join(" ", stats.Pushed, stats.Stored, stats.Frames, stats.Dropped));
                Expect.True(stats.Bytes > 0 && stats.FileBytes > 0, "bytes of the store");
                Expect.Throws<ArgumentException>(() => store.Push(Fixtures.Striped(2), new StoreEntry { Name = "a", Metadata = "b\0c" }));
                Expect.Throws<ArgumentOutOfRangeException>(() => store.Push(Fixtures.Striped(2), null, TimeSpan.FromSeconds(-2)));
                Expect.Fails(ErrorCode.Mismatch, () => store.Push(Fixtures.Striped(2), new StoreEntry { Embedding = new float[] { 1, 2 } }));
            }
        }

        [Test]
        public static void FramesAreListedAndLabelled()
        {
            var start = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
            using (var store = Store.Open(NewPath()))
            {
                for (var i = 0; i < 6; i++)
                {
                    store.Push(Fixtures.Striped(i + 1), new StoreEntry { Time = start.AddHours(i) }, Timeout.InfiniteTimeSpan);
                }
                store.SetLabel(2, 0, "good");
                store.SetLabel(3, 1, "bad");
                store.SetLabel(5, 1);
                store.RemoveLabel(2);
                Action<string, StoreFilter> lists = (ids, filter) => Expect.Equal(ids, string.Join(" ", store.List(filter)));
                lists("1 2 3 4 5 6", null);
                lists("2 3 4", new StoreFilter { FirstId = 2, LastId = 4 });
                lists("2 3", new StoreFilter { From = start.AddHours(1), Until = start.AddHours(2) });
                lists("3 5", new StoreFilter { Labelled = StoreLabelled.Labelled });
                lists("4 6", new StoreFilter { Labelled = StoreLabelled.Unlabelled, Last = 2 });
                lists("3 5", new StoreFilter { Labelled = StoreLabelled.OfClass, Class = 1 });
                lists("", new StoreFilter { Labelled = StoreLabelled.OfClass, Class = 0 });
                Expect.Equal("1 -1 1", string.Join(" ", store.Labels(5, 2, 3)));
                Expect.Equal(0, store.Labels().Length);
                store.Remove();
                store.Remove(1, 6, 99);
                lists("2 3 4 5", null);
                Expect.Fails(ErrorCode.InvalidArgument, () => store.RemoveLabel(1));
                Expect.Fails(ErrorCode.InvalidArgument, () => store.Describe(1));
                Expect.Fails(ErrorCode.InvalidArgument, () => store.Labels(2, 1));
                Expect.Throws<ArgumentOutOfRangeException>(() => store.SetLabel(2, -1));
                Expect.Throws<ArgumentException>(() => store.List(new StoreFilter { Last = -1 }));
            }
        }

        [Test]
        public static void StoreIsADataset()
        {
            var path = NewPath();
            using (var store = Store.Open(path))
            {
                Expect.Fails(ErrorCode.InvalidArgument, () => Dataset.OpenStore(store));
                store.SetSession(Fixtures.TellingSession);
                for (var i = 0; i < 3; i++)
                {
                    store.Push(Fixtures.Striped(i + 2), null, Timeout.InfiniteTimeSpan);
                }
                store.Flush();
                store.SetSession(null);
                Dataset images;
                using (var reader = Store.OpenToRead(path))
                {
                    images = Dataset.OpenStore(reader, 3, 1);
                }
                using (images)
                using (var all = Dataset.OpenStore(store))
                {
                    Expect.Equal(3, all.Count);
                    var vectors = Fixtures.TellingSession.Embed(images);
                    Expect.Equal(2, vectors.Count);
                    // The store's thread has embedded the same pixels by the same session.
                    var kept = store.Embedding(3).Concat(store.Embedding(1)).ToArray();
                    for (var i = 0; i < 2; i++)
                    {
                        var pair = vectors.Row(i).ToArray().Concat(kept.Skip(i * vectors.Dim).Take(vectors.Dim)).ToArray();
                        Expect.Near(1, new Embeddings(pair, vectors.Dim).Cosine(0, 1), 1e-4);
                    }
                }
                Expect.Fails(ErrorCode.InvalidArgument, () => Dataset.OpenStore(store, 1, 9));
            }
        }

        [Test]
        public static void StoreIsBounded()
        {
            using (var store = Store.Open(NewPath(), new StoreOptions { MaxFrames = 3, Encoding = StoreEncoding.Jpeg, JpegQuality = 80 }))
            {
                for (var i = 0; i < 7; i++)
                {
                    store.Push(Fixtures.Striped(i + 1), null, Timeout.InfiniteTimeSpan);
                }
                store.Flush();
                Expect.Equal("5 6 7", string.Join(" ", store.List()));
                Expect.Equal(StoreEncoding.Jpeg, store.Describe(7).Encoding);
                Expect.Equal(4L, store.Stats().Evicted);
            }
            Expect.Fails(ErrorCode.InvalidArgument, () => Store.Open(NewPath(), new StoreOptions { Keep = StoreKeep.Novel }));
            Expect.Fails(ErrorCode.InvalidArgument, () => Store.Open(NewPath(),
                new StoreOptions { Encoding = StoreEncoding.Jpeg, JpegQuality = 101 }));
            Expect.Throws<ArgumentException>(() => Store.Open(NewPath(), new StoreOptions { MaxAge = TimeSpan.FromDays(-1) }));
        }

        [Test]
        public static void StoreIsCheckedAndRepaired()
        {
            string path = NewPath(), whole = NewPath();
            var store = Store.Open(path);
            Expect.Fails(ErrorCode.Busy, () => Store.Open(path));
            for (var i = 0; i < 4; i++)
            {
                store.Push(Fixtures.Striped(i + 1), new StoreEntry { Name = "frame" }, Timeout.InfiniteTimeSpan);
            }
            store.Flush();
            using (var reader = Store.OpenToRead(path))
            {
                Expect.Fails(ErrorCode.InvalidArgument, () => reader.Remove(1));
            }
            long seen = 0;
            Store.Check(path, new DirectProgress<CountProgress>(p =>
            {
                Expect.Equal(4L, p.Total);
                seen = p.Done;
            }));
            Expect.Equal(4L, seen);
            Store.Check(path);
            Expect.Throws<InvalidCastException>(() => Store.Check(path,
                new DirectProgress<CountProgress>(p => throw new InvalidCastException())));
            using (var source = new CancellationTokenSource())
            {
                source.Cancel();
                Expect.Equal(source.Token, Expect.Throws<OperationCanceledException>(() => Store.Check(path, null, source.Token))
                    .CancellationToken);
            }
            Expect.Fails(ErrorCode.Busy, () => Store.Repair(path, whole));
            store.Dispose();
            store.Dispose();
            Expect.Throws<ObjectDisposedException>(() => store.Stats());
            Expect.Throws<ObjectDisposedException>(() => Dataset.OpenStore(store));
            var repair = Store.Repair(path, whole);
            Expect.Equal("4 0 False", string.Join(" ", repair.Saved, repair.Lost, repair.IsListDamaged));
            Expect.Fails(ErrorCode.InvalidArgument, () => Store.Repair(path, whole));
            using (var again = Store.OpenToRead(whole))
            {
                Expect.Equal("frame", again.Name(4));
            }
            File.WriteAllText(whole + ".no", "no store at all, but long enough to be looked at");
            Expect.Fails(ErrorCode.Format, () => Store.Check(whole + ".no"));
            Expect.Fails(ErrorCode.Io, () => Store.OpenToRead(whole + ".none"));
        }

        [Test]
        public static void EntriesStayWhereTheyAre()
        {
            using (var store = Store.Open(NewPath()))
            {
                Fixtures.WhileCollecting(() =>
                {
                    for (var i = 0; i < 40; i++)
                    {
                        store.Push(Fixtures.Striped(2), new StoreEntry { Name = "name " + i, Embedding = new float[] { i + 1, 0 } },
                            Timeout.InfiniteTimeSpan);
                    }
                });
                store.Flush();
                for (var i = 0; i < 40; i++)
                {
                    Expect.Equal("name " + i, store.Name(i + 1));
                    Expect.Near(1, store.Embedding(i + 1)[0], 1e-6);
                }
            }
        }
    }
}
