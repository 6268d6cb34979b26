using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// An image that owns its pixels: rows without padding, <see cref="PixelFormat.Mono8"/> where every pixel is grey and
    /// <see cref="PixelFormat.Rgb8"/> else.
    /// </summary>
    public sealed class Picture
    {
        internal Picture(byte[] pixels, ImageLayout view)
        {
            Pixels = pixels;
            Width = checked((int)view.width);
            Height = checked((int)view.height);
            Format = (PixelFormat)view.format;
        }

        /// <summary>Height·Width bytes of grey, or three times as many of red, green, blue.</summary>
        public byte[] Pixels { get; }

        /// <summary>Pixels a row.</summary>
        public int Width { get; }

        /// <summary>Rows.</summary>
        public int Height { get; }

        /// <summary>How the pixels are to be read.</summary>
        public PixelFormat Format { get; }

        /// <summary>A view of the pixels, for the functions that take images. Nothing is copied.</summary>
        public Image View => new Image(Pixels, Width, Height, Format);

        /// <summary>
        /// Decodes a JPEG, PNG, BMP, TIFF, WebP or PNM as the library does when it reads files: 8 bits whatever the file has.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> when the bytes are no sound image.
        /// </exception>
        public static unsafe Picture Decode(ReadOnlySpan<byte> file)
        {
            Library.Initialize();
            var view = default(ImageLayout);
            using (InFlight.Begin())
            fixed (byte* start = &MemoryMarshal.GetReference(file))
            {
                // A lambda cannot hold what is fixed, but its address.
                var address = (IntPtr)start;
                var size = (UIntPtr)(uint)file.Length;
                return new Picture(Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_image_decode((byte*)address, size, ref view, buffer, capacity, out length)), view);
            }
        }

        /// <summary>Encodes an image as a PNG file, every bit kept.</summary>
        public static byte[] EncodePng(Image image)
        {
            Library.Initialize();
            using (var views = new ImageViews(image))
            using (InFlight.Begin())
            {
                return Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_image_encode(ref views.Views[0], buffer, capacity, out length));
            }
        }

        /// <summary>Writes an image as a PNG file, atomically.</summary>
        public static void SavePng(Image image, string path)
        {
            Library.Initialize();
            using (var views = new ImageViews(image))
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_image_save(ref views.Views[0], Text.ToNative(path, nameof(path))));
            }
        }
    }
}
