using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    // Images as C sees them, their arrays at rest in memory until Dispose.
    internal sealed class ImageViews : IDisposable
    {
        internal readonly ImageLayout[] Views;
        private readonly GCHandle[] pinned;

        internal ImageViews(params Image[] images)
        {
            // One place at least, so that there is an address.
            Views = new ImageLayout[Math.Max(1, Given.Object(images, nameof(images)).Length)];
            pinned = new GCHandle[images.Length];
            Count = (UIntPtr)(uint)images.Length;
            try
            {
                for (var i = 0; i < images.Length; i++)
                {
                    Views[i] = Of(Address(i, images[i]), images[i].Width, images[i].Height, images[i].Stride, images[i].Format);
                }
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        internal UIntPtr Count { get; }

        internal static ImageLayout Of(IntPtr address, int width, int height, int stride, PixelFormat format)
        {
            return new ImageLayout
            {
                struct_size = (UIntPtr)(uint)Marshal.SizeOf(typeof(ImageLayout)),
                data = address,
                width = (uint)width,
                height = (uint)height,
                row_stride = (UIntPtr)(uint)stride,
                format = (int)format,
                device = Native.DeviceCpu,
            };
        }

        private IntPtr Address(int number, Image image)
        {
            if (image.Address != IntPtr.Zero)
            {
                return image.Address;
            }
            if (image.Pixels == null)
            {
                throw new ArgumentException("image " + number + " is default(Image), which views nothing");
            }
            pinned[number] = GCHandle.Alloc(image.Pixels, GCHandleType.Pinned);
            return pinned[number].AddrOfPinnedObject() + image.Offset;
        }

        public void Dispose()
        {
            for (var i = 0; i < pinned.Length; i++)
            {
                if (pinned[i].IsAllocated)
                {
                    pinned[i].Free();
                }
            }
        }
    }
}
