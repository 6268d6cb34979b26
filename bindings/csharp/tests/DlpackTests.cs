using System;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class DlpackTests
    {
        // C may call it whenever it likes.
        private static readonly DlpackLayout.Deleting Deleter = Delete;
        private static int deleted;

        // A tensor (count, 36, 40, 1) of bytes in memory outside of .NET, in one piece: the struct, the sides, the pixels.
        private static IntPtr Tensor(int major, params int[] periods)
        {
            var head = Marshal.SizeOf(typeof(DlpackLayout));
            var pixels = periods.SelectMany(period => Fixtures.Stripes(period)).ToArray();
            var memory = Marshal.AllocHGlobal(head + 32 + pixels.Length);
            Marshal.Copy(new long[] { periods.Length, 36, 40, 1 }, 0, memory + head, 4);
            Marshal.Copy(pixels, 0, memory + head + 32, pixels.Length);
            Marshal.StructureToPtr(new DlpackLayout
            {
                Major = (uint)major,
                Deleter = Marshal.GetFunctionPointerForDelegate((Delegate)Deleter),
                Data = memory + head + 32,
                DeviceType = DlpackLayout.Cpu,
                Dimensions = 4,
                TypeCode = 1,
                TypeBits = 8,
                TypeLanes = 1,
                Shape = memory + head,
            }, memory, false);
            return memory;
        }

        private static void Delete(IntPtr tensor)
        {
            Marshal.FreeHGlobal(tensor);
            Interlocked.Increment(ref deleted);
        }

        [Test]
        public static void TensorsGiveTheVectorsOfImages()
        {
            var session = Fixtures.TellingSession;
            var before = deleted;
            Fixtures.WhileCollecting(() =>
            {
                using (var tensor = session.EmbedDlpack(Tensor(1, 2, 7)))
                {
                    Expect.Equal(1, deleted - before);
                    var vectors = tensor.ToEmbeddings();
                    Expect.Equal(2, vectors.Count);
                    var expected = session.Embed(Fixtures.Striped(2), Fixtures.Striped(7));
                    var both = new Embeddings(vectors.Values.Concat(expected.Values).ToArray(), Fixtures.Dim);
                    Expect.True(both.Cosine(0, 2) > .9999 && both.Cosine(1, 3) > .9999, "the vectors of the images");
                    Expect.True(both.Cosine(0, 1) < .9999, "different images");
                    tensor.Dispose();
                    Expect.Throws<ObjectDisposedException>(() => tensor.ToEmbeddings());
                    Expect.Throws<ObjectDisposedException>(() => tensor.Detach());
                }
            });
        }

        [Test]
        public static void RefusedTensorsAreTakenOver()
        {
            var before = deleted;
            Session session;
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            {
                session = Session.FromStudent(student, config);
            }
            Expect.Throws<ArgumentNullException>(() => session.EmbedDlpack(IntPtr.Zero));
            Expect.Fails(ErrorCode.InvalidArgument, () => session.EmbedDlpack(Tensor(2, 3)));
            session.Dispose();
            Expect.Throws<ObjectDisposedException>(() => session.EmbedDlpack(Tensor(1, 3)));
            Expect.Equal(2, deleted - before);
        }

        [Test]
        public static void TensorsAreHandedOut()
        {
            var before = SeedHandle.Open;
            var tensor = Fixtures.TellingSession.EmbedDlpack(Tensor(1, 3));
            var raw = tensor.Detach();
            tensor.Dispose();
            Expect.True(SeedHandle.Open <= before, "nothing is left here");
            Expect.Throws<ObjectDisposedException>(() => tensor.Detach());
            // It is whole: vectors can only be refused for their shape, and are taken over for that.
            Expect.Fails(ErrorCode.InvalidArgument, () => Fixtures.TellingSession.EmbedDlpack(raw));
        }

        [Test]
        public static void ForgottenTensorsAreDeleted()
        {
            var before = SeedHandle.Open;
            Forget();
            Expect.Soon(() =>
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                // A conservative collector may keep the last ones alive.
                return SeedHandle.Open <= before + 6;
            }, "the garbage collector frees them");
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void Forget()
        {
            for (var i = 0; i < 40; i++)
            {
                Fixtures.TellingSession.EmbedDlpack(Tensor(1, 3));
            }
        }
    }
}
