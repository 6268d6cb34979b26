using System;
using System.Linq;
using System.Runtime.InteropServices;

namespace LibSeed.Tests
{
    internal static class ImageTests
    {
        private const int Width = 40, Height = 36;

        // The same grey picture in every format gives the same vector.
        [Test]
        public static void FormatsAreRead()
        {
            var grey = Fixtures.Stripes(5);
            var rgb = grey.SelectMany(value => new[] { value, value, value }).ToArray();
            var rgba = grey.SelectMany(value => new byte[] { value, value, value, 7 }).ToArray();
            var deep = grey.Select(value => (ushort)(value * 257)).ToArray();
            var planes = Enumerable.Range(0, 3).SelectMany(plane => grey.Select(value => value / 255f)).ToArray();
            var padded = new byte[1 + 64 * Height];
            for (var y = 0; y < Height; y++)
            {
                Array.Copy(grey, y * Width, padded, 1 + y * 64, Width);
            }
            var vectors = Fixtures.TellingSession.Embed(
                new Image(grey, Width, Height, PixelFormat.Mono8),
                new Image(padded, Width, Height, PixelFormat.Mono8, 64, 1),
                new Image(rgb, Width, Height, PixelFormat.Rgb8), new Image(rgb, Width, Height, PixelFormat.Bgr8),
                new Image(rgba, Width, Height, PixelFormat.Rgba8), new Image(rgba, Width, Height, PixelFormat.Bgra8),
                Image.Mono16(deep, Width, Height), Image.Planar(planes, Width, Height), Fixtures.Striped(9));
            Expect.Equal(9, vectors.Count);
            for (var i = 1; i < 8; i++)
            {
                Expect.Near(1, vectors.Cosine(0, i), 1e-4);
            }
            Expect.True(vectors.Cosine(0, 8) < .999, "another picture has another vector: " + vectors.Cosine(0, 8));
        }

        [Test]
        public static void ChannelsHaveTheirOrder()
        {
            var pixels = Enumerable.Range(0, 3 * Width * Height).Select(i => (byte)(i % 3 == 0 ? i / 3 % Width * 6 : 30)).ToArray();
            var turned = pixels.Select((value, i) => pixels[i - i % 3 + (2 - i % 3)]).ToArray();
            var vectors = Fixtures.TellingSession.Embed(new Image(pixels, Width, Height, PixelFormat.Rgb8),
                new Image(turned, Width, Height, PixelFormat.Bgr8), new Image(pixels, Width, Height, PixelFormat.Bgr8));
            Expect.Near(1, vectors.Cosine(0, 1), 1e-6);
            Expect.True(vectors.Cosine(0, 2) < .9999, "red is not blue: " + vectors.Cosine(0, 2));
        }

        [Test]
        public static void MemoryOutsideIsRead()
        {
            var grey = Fixtures.Stripes(5);
            var memory = Marshal.AllocHGlobal(grey.Length);
            try
            {
                Marshal.Copy(grey, 0, memory, grey.Length);
                var vectors = Fixtures.TellingSession.Embed(new Image(memory, Width, Height, PixelFormat.Mono8), Fixtures.Striped(5));
                Expect.Near(1, vectors.Cosine(0, 1), 1e-6);
            }
            finally
            {
                Marshal.FreeHGlobal(memory);
            }
            Expect.Throws<ArgumentNullException>(() => new Image(IntPtr.Zero, 1, 1, PixelFormat.Mono8).ToString());
        }

        // C would read past the end of such arrays.
        [Test]
        public static void ArraysMustHoldTheImage()
        {
            var pixels = new byte[100];
            Action<int, int, PixelFormat, int, int> refused = (width, height, format, stride, offset) =>
            {
                try
                {
                    new Image(pixels, width, height, format, stride, offset).ToString();
                }
                catch (ArgumentException)
                {
                    return;
                }
                throw new Exception("expected a refusal of " + width + " × " + height + " " + format + ", " + stride + ", " + offset);
            };
            refused(10, 11, PixelFormat.Mono8, 0, 0);
            refused(10, 10, PixelFormat.Mono8, 0, 1);
            refused(10, 10, PixelFormat.Mono8, 11, 0);
            refused(10, 10, PixelFormat.Mono8, 9, 0);
            refused(10, 10, PixelFormat.Mono8, -10, 0);
            refused(10, 10, PixelFormat.Mono8, 0, -1);
            refused(0, 10, PixelFormat.Mono8, 0, 0);
            refused(10, -1, PixelFormat.Mono8, 0, 0);
            refused(10, 4, PixelFormat.Rgb8, 0, 0);
            refused(3, 3, PixelFormat.PlanarF32, 0, 0);
            refused(10, 10, (PixelFormat)99, 0, 0);
            refused(int.MaxValue, int.MaxValue, PixelFormat.PlanarF32, 0, 0);
            refused(int.MaxValue / 4, int.MaxValue, PixelFormat.PlanarF32, 0, 0);
            // The last row need not be padded.
            Expect.Equal(30, new Image(pixels, 10, 4, PixelFormat.Mono8, 30).Stride);
            Expect.Equal(5, new Image(pixels, 5, 20, PixelFormat.Mono8).Stride);
            // Rows of packed formats begin with a byte of their own.
            Expect.Equal(7, new Image(pixels, 5, 14, PixelFormat.Mono10p).Stride);
            Expect.Equal(8, new Image(pixels, 5, 12, PixelFormat.Mono12Packed).Stride);
            Expect.Equal(30, new Image(pixels, 5, 3, PixelFormat.Rgb16).Stride);
            refused(5, 15, PixelFormat.Mono10p, 0, 0);
            refused(5, 13, PixelFormat.Mono12p, 0, 0);
            refused(5, 4, PixelFormat.Rgb16, 0, 0);
            refused(5, 11, PixelFormat.BayerRg12, 0, 0);
            Expect.Throws<ArgumentNullException>(() => new Image(null, 1, 1, PixelFormat.Mono8).ToString());
            Expect.Throws<ArgumentException>(() => Image.Mono16(new ushort[8], 3, 3).ToString());
            Expect.Throws<ArgumentException>(() => Fixtures.TellingSession.Embed(default(Image)));
            Expect.Throws<ArgumentException>(() => Fixtures.TellingSession.EmbedInto(new float[16], new ReadOnlySpan<byte>(pixels), 11, 10,
                PixelFormat.Mono8));
        }
    }
}
