using System;

namespace LibSeed
{
    /// <summary>How the pixels of an <see cref="Image"/> are to be read.</summary>
    public enum PixelFormat
    {
        /// <summary>One byte of grey a pixel.</summary>
        Mono8 = 1,
        /// <summary>Two bytes of grey a pixel in the machine's byte order, full range 0 to 65535.</summary>
        Mono16 = 2,
        /// <summary>Red, green, blue, one byte each.</summary>
        Rgb8 = 3,
        /// <summary>Blue, green, red, one byte each; what System.Drawing calls Format24bppRgb.</summary>
        Bgr8 = 4,
        /// <summary>Red, green, blue and an alpha that is ignored, one byte each.</summary>
        Rgba8 = 5,
        /// <summary>Blue, green, red and an alpha that is ignored, one byte each; Format32bppArgb.</summary>
        Bgra8 = 6,
        /// <summary>Three planes of float, red, green, blue, each height·stride bytes, values 0 to 1.</summary>
        PlanarF32 = 7,
        /// <summary>
        /// Two bytes of grey a pixel in the machine's byte order, 0 to 1023 in the low bits; larger values are refused.
        /// </summary>
        Mono10 = 8,
        /// <summary>The same of 0 to 4095.</summary>
        Mono12 = 9,
        /// <summary>The same of 0 to 16383.</summary>
        Mono14 = 10,
        /// <summary>Four pixels of grey in five bytes, GenICam's; each row begins with a byte of its own.</summary>
        Mono10p = 11,
        /// <summary>Two pixels of grey in three bytes, GenICam's.</summary>
        Mono12p = 12,
        /// <summary>Two pixels of grey in three bytes, GigE Vision's.</summary>
        Mono12Packed = 13,
        /// <summary>A mosaic of one byte a pixel whose first row is red, green, …</summary>
        BayerRg8 = 14,
        /// <summary>A mosaic of one byte a pixel whose first row is green, red, …</summary>
        BayerGr8 = 15,
        /// <summary>A mosaic of one byte a pixel whose first row is green, blue, …</summary>
        BayerGb8 = 16,
        /// <summary>A mosaic of one byte a pixel whose first row is blue, green, …</summary>
        BayerBg8 = 17,
        /// <summary><see cref="BayerRg8"/> of two bytes a pixel as in <see cref="Mono12"/>.</summary>
        BayerRg12 = 18,
        /// <summary><see cref="BayerGr8"/> of two bytes a pixel as in <see cref="Mono12"/>.</summary>
        BayerGr12 = 19,
        /// <summary><see cref="BayerGb8"/> of two bytes a pixel as in <see cref="Mono12"/>.</summary>
        BayerGb12 = 20,
        /// <summary><see cref="BayerBg8"/> of two bytes a pixel as in <see cref="Mono12"/>.</summary>
        BayerBg12 = 21,
        /// <summary>Red, green, blue of two bytes each in the machine's byte order, full range 0 to 65535.</summary>
        Rgb16 = 22,
        /// <summary>One float of grey a pixel, any finite number.</summary>
        MonoF32 = 23,
    }

    /// <summary>
    /// A view of pixels in an array or in memory outside of .NET, a camera's say. Making one copies nothing and costs nothing.
    /// The pixels are read during the call that takes the image only, and arrays stay where they are meanwhile.
    /// </summary>
    public struct Image
    {
        internal readonly Array Pixels;
        internal readonly int Offset;
        internal readonly IntPtr Address;

        /// <summary>Views an array of bytes. The last row need not be padded to the stride.</summary>
        /// <param name="pixels">The rows.</param>
        /// <param name="width">Pixels a row.</param>
        /// <param name="height">Rows.</param>
        /// <param name="format">How to read the pixels.</param>
        /// <param name="stride">Bytes from one row to the next; 0: rows without padding.</param>
        /// <param name="offset">Number of the first row's first byte.</param>
        public Image(byte[] pixels, int width, int height, PixelFormat format, int stride = 0, int offset = 0)
            : this(Given.Object(pixels, nameof(pixels)), pixels.Length, 1, width, height, format, stride, offset)
        {
        }

        /// <summary>
        /// Views memory outside of .NET, which must be there until the call that takes the image has returned: a pinned
        /// buffer, a camera's, a bitmap's Scan0. How much there is cannot be checked.
        /// </summary>
        /// <param name="pixels">The first pixel of the first row.</param>
        /// <param name="width">Pixels a row.</param>
        /// <param name="height">Rows.</param>
        /// <param name="format">How to read the pixels.</param>
        /// <param name="stride">Bytes from one row to the next; 0: rows without padding. Bitmaps that stand on their head
        /// have a negative stride and are refused.</param>
        public Image(IntPtr pixels, int width, int height, PixelFormat format, int stride = 0)
            : this(null, -1, 1, width, height, format, stride, 0)
        {
            if (pixels == IntPtr.Zero)
            {
                throw new ArgumentNullException(nameof(pixels));
            }
            Address = pixels;
        }

        private Image(Array pixels, long elements, int elementBytes, int width, int height, PixelFormat format, int stride,
            int offset)
        {
            Stride = PixelLayout.Check(elements < 0 ? -1 : elements * elementBytes, width, height, format, stride, offset);
            Pixels = pixels;
            Offset = offset;
            Address = IntPtr.Zero;
            Width = width;
            Height = height;
            Format = format;
        }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>Bytes from one row to the next.</summary>
        public int Stride { get; }

        /// <summary>How the pixels are to be read.</summary>
        public PixelFormat Format { get; }

        /// <summary>Views an array of grey values of 0 to 65535, row after row.</summary>
        public static Image Mono16(ushort[] pixels, int width, int height)
        {
            return new Image(Given.Object(pixels, nameof(pixels)), pixels.Length, 2, width, height, PixelFormat.Mono16, 0, 0);
        }

        /// <summary>Views an array of grey values, any finite numbers, row after row.</summary>
        public static Image MonoFloat(float[] pixels, int width, int height)
        {
            return new Image(Given.Object(pixels, nameof(pixels)), pixels.Length, 4, width, height, PixelFormat.MonoF32, 0, 0);
        }

        /// <summary>Views an array of three planes, red, green, blue, of width·height values of 0 to 1 each.</summary>
        public static Image Planar(float[] pixels, int width, int height)
        {
            return new Image(Given.Object(pixels, nameof(pixels)), pixels.Length, 4, width, height, PixelFormat.PlanarF32, 0,
                0);
        }
    }

    // Where the pixels of a format lie. C cannot know how long a buffer is, so that is checked here.
    internal static class PixelLayout
    {
        // Gives the stride. Fewer than 0 bytes: it is not known how many there are.
        internal static int Check(long bytes, int width, int height, PixelFormat format, int stride, int offset)
        {
            long pixelBits, planes = 1;
            switch (format)
            {
                case PixelFormat.Mono8:
                case PixelFormat.BayerRg8:
                case PixelFormat.BayerGr8:
                case PixelFormat.BayerGb8:
                case PixelFormat.BayerBg8:
                    pixelBits = 8;
                    break;
                case PixelFormat.Mono10p:
                    pixelBits = 10;
                    break;
                case PixelFormat.Mono12p:
                case PixelFormat.Mono12Packed:
                    pixelBits = 12;
                    break;
                case PixelFormat.Mono10:
                case PixelFormat.Mono12:
                case PixelFormat.Mono14:
                case PixelFormat.Mono16:
                case PixelFormat.BayerRg12:
                case PixelFormat.BayerGr12:
                case PixelFormat.BayerGb12:
                case PixelFormat.BayerBg12:
                    pixelBits = 16;
                    break;
                case PixelFormat.Rgb8:
                case PixelFormat.Bgr8:
                    pixelBits = 24;
                    break;
                case PixelFormat.Rgba8:
                case PixelFormat.Bgra8:
                case PixelFormat.MonoF32:
                    pixelBits = 32;
                    break;
                case PixelFormat.PlanarF32:
                    pixelBits = 32;
                    planes = 3;
                    break;
                case PixelFormat.Rgb16:
                    pixelBits = 48;
                    break;
                default:
                    throw new ArgumentOutOfRangeException(nameof(format), format, "expected one of PixelFormat");
            }
            if (width < 1 || height < 1)
            {
                throw new ArgumentException("the image has " + width + " × " + height + " pixels, expected at least 1 × 1");
            }
            var row = (width * pixelBits + 7) / 8;
            var step = stride == 0 ? row : stride;
            if (step < row || step > int.MaxValue)
            {
                throw new ArgumentOutOfRangeException(nameof(stride), stride,
                    "expected at least the " + row + " bytes of a row, and below 2^31");
            }
            if (offset < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(offset), offset, "expected a number from 0");
            }
            // At most 2^31 · 3 · 2^31 and some more, which is below 2^64.
            var needed = (ulong)step * ((ulong)height * (ulong)planes - 1) + (ulong)row + (ulong)offset;
            if (bytes >= 0 && needed > (ulong)bytes)
            {
                throw new ArgumentException("the pixels have " + bytes + " bytes, expected at least " + needed + " for " +
                    width + " × " + height + " pixels of " + format + " with a stride of " + step + " bytes");
            }
            return (int)step;
        }
    }
}
