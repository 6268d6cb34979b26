using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace LibSeed
{
    /// <summary>
    /// Images without labels. Any number of threads may use it at once, pushing while a trainer reads included.
    /// </summary>
    public sealed class Dataset : IDisposable
    {
        private readonly DatasetHandle handle;

        /// <summary>Makes an empty data set in memory, to be filled by <see cref="Push(Image, string)"/>.</summary>
        public Dataset() : this(SeedHandle.Make<DatasetHandle>(Native.seed_dataset_new))
        {
        }

        private Dataset(DatasetHandle handle)
        {
            this.handle = handle;
        }

        internal DatasetHandle Handle => handle.Alive(this);

        /// <summary>
        /// What you should know about the images although nothing failed, such as numbers outside [0, 1] that were
        /// clamped.
        /// </summary>
        public IReadOnlyList<string> Warnings() => Filling.Lines((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_dataset_warnings(Handle, buffer, capacity, out length));

        /// <summary>The number of images, broken ones included.</summary>
        public int Count
        {
            get
            {
                UIntPtr count;
                SeedError.Check(Native.seed_dataset_count(Handle, out count));
                return Size.Int(count);
            }
        }

        /// <summary>
        /// Opens every JPEG, PNG, BMP, TIFF, WebP and PNM in a folder and below, sorted by name. Files are read when they are needed: a
        /// broken one is skipped, counted and named then.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> when the folder cannot be read, <see cref="ErrorCode.InvalidArgument"/> when it holds no
        /// image.
        /// </exception>
        public static Dataset OpenFolder(string folder)
        {
            var path = Text.ToNative(folder, nameof(folder));
            return new Dataset(SeedHandle.Make<DatasetHandle>((out IntPtr result) =>
                Native.seed_dataset_open_folder(path, out result)));
        }

        /// <summary>Opens image files by path, in this order.</summary>
        public static Dataset OpenFiles(params string[] paths)
        {
            using (var texts = new TextArray(paths, nameof(paths)))
            {
                return new Dataset(SeedHandle.Make<DatasetHandle>((out IntPtr result) =>
                    Native.seed_dataset_open_files(texts.Pointers, texts.Count, out result)));
            }
        }

        /// <summary>
        /// Opens frames of a store in this order, or all that are there now where none is named; image i is frame ids[i]. It reads
        /// the store when an image is asked for, and may outlive it. The store may grow meanwhile: what comes later is not in the
        /// data set, and a frame that has gone is skipped, counted and named like a broken file.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when there is no frame, or one of the ids is not there.
        /// </exception>
        public static unsafe Dataset OpenStore(Store store, params long[] ids)
        {
            var frames = Given.Object(store, nameof(store)).Handle;
            // The address of nothing is NULL, which asks for all.
            fixed (long* first = Given.Object(ids, nameof(ids)))
            {
                var asked = (IntPtr)first;
                return new Dataset(SeedHandle.Make<DatasetHandle>((out IntPtr result) =>
                    Native.seed_dataset_open_store(frames, (long*)asked, (UIntPtr)(uint)ids.Length, out result)));
            }
        }

        /// <summary>
        /// Copies an image into the data set under a name (null: its number) and gives its number. Works on every data set,
        /// one of a folder too.
        /// </summary>
        public unsafe int Push(Image image, string name = null)
        {
            using (var views = new ImageViews(image))
            {
                fixed (ImageLayout* view = views.Views)
                {
                    return Push(view, name);
                }
            }
        }

        /// <summary>As <see cref="Push(Image, string)"/>, of pixels in a span.</summary>
        public unsafe int Push(ReadOnlySpan<byte> pixels, int width, int height, PixelFormat format, string name = null,
            int stride = 0)
        {
            stride = PixelLayout.Check(pixels.Length, width, height, format, stride, 0);
            fixed (byte* start = &MemoryMarshal.GetReference(pixels))
            {
                var view = ImageViews.Of((IntPtr)start, width, height, stride, format);
                return Push(&view, name);
            }
        }

        private unsafe int Push(ImageLayout* view, string name)
        {
            UIntPtr index;
            var text = name == null ? null : Text.ToNative(name, nameof(name));
            SeedError.Check(Native.seed_dataset_push(Handle, view, text, out index));
            return Size.Int(index);
        }

        /// <summary>
        /// Decodes a JPEG, PNG, BMP, TIFF, WebP or PNM and pushes it, as <see cref="Push(Image, string)"/>. The pixels are kept, not the
        /// file.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Format"/> when the bytes are no sound image.
        /// </exception>
        public unsafe int PushEncoded(ReadOnlySpan<byte> file, string name = null)
        {
            UIntPtr index;
            var text = name == null ? null : Text.ToNative(name, nameof(name));
            fixed (byte* start = &MemoryMarshal.GetReference(file))
            {
                SeedError.Check(Native.seed_dataset_push_encoded(Handle, start, (UIntPtr)(uint)file.Length, text, out index));
            }
            return Size.Int(index);
        }

        /// <summary>Reads an image, as <see cref="Picture.Decode"/> gives it.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Io"/> or <see cref="ErrorCode.Format"/> when the image is broken; it is counted as skipped then.
        /// </exception>
        public Picture Pixels(int index)
        {
            var number = Size.Of(index, nameof(index));
            var view = default(ImageLayout);
            return new Picture(Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_dataset_pixels(Handle, number, ref view, buffer, capacity, out length)), view);
        }

        /// <summary>
        /// Says how image files are read, by "exif" and "page" in the configuration: "ignore" leaves frames as they are stored
        /// instead of turning them upright, and page 0 makes every page of a TIFF an image of its own, called NAME, NAME#2 and so
        /// on. Call it before images are asked for: page 0 numbers them anew.
        /// </summary>
        public void SetReading(Config config) =>
            SeedError.Check(Native.seed_dataset_set_reading(Handle, Given.Object(config, nameof(config)).Handle));

        /// <summary>
        /// Says which pixels of every image count for nothing to detectors that learn from the data set: those of the mask that are
        /// not black. Null takes that back.
        /// </summary>
        public void SetIgnored(Image? mask) => SetIgnored(new UIntPtr(ulong.MaxValue), mask);

        /// <summary>As <see cref="SetIgnored(Image?)"/>, of one image.</summary>
        public void SetIgnored(int index, Image? mask) => SetIgnored(Size.Of(index, nameof(index)), mask);

        private unsafe void SetIgnored(UIntPtr index, Image? mask)
        {
            if (mask == null)
            {
                SeedError.Check(Native.seed_dataset_set_ignored(Handle, index, null));
                return;
            }
            using (var views = new ImageViews(mask.Value))
            {
                fixed (ImageLayout* view = views.Views)
                {
                    SeedError.Check(Native.seed_dataset_set_ignored(Handle, index, view));
                }
            }
        }

        /// <summary>
        /// Draws a polygon as a mask for <see cref="SetIgnored(Image?)"/>: white for each pixel of a frame of that size whose middle
        /// lies inside, black else. The corners are x and y of each corner, in pixels.
        /// </summary>
        public static unsafe Image PolygonMask(float[] corners, int width, int height)
        {
            if (corners == null) throw new ArgumentNullException(nameof(corners));
            fixed (float* first = corners)
            {
                var start = (IntPtr)first;
                var pixels = Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_polygon_mask((float*)start, (UIntPtr)(uint)(corners.Length / 2), (uint)Math.Max(width, 0),
                        (uint)Math.Max(height, 0), buffer, capacity, out length));
                return new Image(pixels, width, height, PixelFormat.Mono8);
            }
        }

        /// <summary>
        /// Says which samples of the images become which of 256 levels, by "range" and its keys in the configuration. "dataset"
        /// measures percentiles over all images now. What learns from the data set sees frames by it from then on.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Config"/> where low is not below high; of "dataset" <see cref="ErrorCode.InvalidArgument"/> where
        /// there is no image, images have different bits or there is one sample only between the percentiles.
        /// </exception>
        public void SetRange(Config config) =>
            SeedError.Check(Native.seed_dataset_set_range(Handle, Given.Object(config, nameof(config)).Handle));

        /// <summary>
        /// The range that was set, as pairs that <see cref="Config.Parse"/> takes, "range=fixed range.low=96 range.high=3871
        /// range.gamma=1" say; empty where none was.
        /// </summary>
        public string Range => Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_dataset_range(Handle, buffer, capacity, out length));

        /// <summary>
        /// The name of an image: its path relative to the folder with '/', or what it was pushed under.
        /// </summary>
        public string Name(int index)
        {
            var number = Size.Of(index, nameof(index));
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_dataset_name(Handle, number, buffer, capacity, out length));
        }

        /// <summary>
        /// For each image whether it could not be used when it was last asked for: after embedding the data set these are the rows
        /// of zeros.
        /// </summary>
        public bool[] Broken() => Array.ConvertAll(
            Filling.Array<byte>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_dataset_broken(Handle, buffer, capacity, out length)),
            mark => mark != 0);

        /// <summary>The images that could not be used when they were last asked for, each as "name: reason".</summary>
        public IReadOnlyList<string> Skipped()
        {
            UIntPtr count;
            SeedError.Check(Native.seed_dataset_skipped_count(Handle, out count));
            var lines = new string[Size.Int(count)];
            for (var i = 0; i < lines.Length; i++)
            {
                var number = (UIntPtr)(uint)i;
                lines[i] = Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_dataset_skipped(Handle, number, buffer, capacity, out length));
            }
            return lines;
        }

        /// <summary>
        /// A label for each image: the number of its class, which is the first folder of its name; −1 for an image outside of all
        /// folders. Classes are numbered by their names in order.
        /// </summary>
        public long[] ClassLabels() => Filling.Array<long>((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
            Native.seed_dataset_class_labels(Handle, buffer, capacity, out length));

        /// <summary>The names of the classes that <see cref="ClassLabels"/> tells apart, their folders'.</summary>
        public IReadOnlyList<string> Classes()
        {
            UIntPtr count;
            SeedError.Check(Native.seed_dataset_class_count(Handle, out count));
            var names = new string[Size.Int(count)];
            for (var i = 0; i < names.Length; i++)
            {
                var number = (UIntPtr)(uint)i;
                names[i] = Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                    Native.seed_dataset_class_name(Handle, number, buffer, capacity, out length));
            }
            return names;
        }

        /// <summary>Releases the data set. Trainers made of it go on.</summary>
        public void Dispose() => handle.Dispose();
    }
}
