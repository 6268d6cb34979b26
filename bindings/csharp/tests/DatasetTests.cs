using System;
using System.IO;
using System.Linq;

namespace LibSeed.Tests
{
    internal static class DatasetTests
    {
        [Test]
        public static void FolderIsReadInOrder()
        {
            var folder = Fixtures.ImageFolder(3);
            using (var images = Dataset.OpenFolder(folder))
            {
                Expect.Equal(3, images.Count);
                Expect.Equal("00.png 01.png 02.png", string.Join(" ", Enumerable.Range(0, 3).Select(images.Name)));
                Expect.Fails(ErrorCode.InvalidArgument, () => images.Name(3));
                Expect.Throws<ArgumentOutOfRangeException>(() => images.Name(-1));
            }
        }

        [Test]
        public static void PathsAreUtf8()
        {
            var folder = Path.Combine(Fixtures.Folder(), "Prüfung 検査 \ud83d\ude00");
            Directory.CreateDirectory(folder);
            var file = Path.Combine(folder, "Gehäuse №1.png");
            PngFile.Write(file, Fixtures.Stripes(3), 40, 36);
            using (var config = Fixtures.SmallConfig())
            using (var images = Dataset.OpenFolder(folder))
            using (var files = Dataset.OpenFiles(file, file))
            using (var student = Fixtures.NewStudent(config))
            {
                Expect.Equal("Gehäuse №1.png", images.Name(0));
                Expect.Equal(2, files.Count);
                Fixtures.TellingSession.Embed(files);
                Expect.Equal(0, files.Skipped().Count);
                student.Save(Path.Combine(folder, "Schüler.safetensors"));
                Expect.True(File.Exists(Path.Combine(folder, "Schüler.safetensors")), "the student's file");
                Student.Load(Path.Combine(folder, "Schüler.safetensors"), config).Dispose();
            }
        }

        [Test]
        public static void BrokenImagesAreNamed()
        {
            var folder = Fixtures.ImageFolder(2);
            File.WriteAllText(Path.Combine(folder, "kaputt ü.png"), "no picture");
            using (var images = Dataset.OpenFolder(folder))
            {
                Expect.Equal(0, images.Skipped().Count);
                var vectors = Fixtures.TellingSession.Embed(images);
                Expect.Equal(3, vectors.Count);
                Expect.True(vectors.Row(2).ToArray().All(value => value == 0), "zeros for the broken image");
                Expect.True(vectors.Row(1).ToArray().Any(value => value != 0), "no zeros for a sound one");
                Expect.Equal(1, images.Broken().Count(broken => broken));
                Expect.True(images.Skipped().Single().StartsWith("kaputt ü.png: "), images.Skipped()[0]);
            }
        }

        // A ramp of 12 bits has 16 levels by the upper 8 of 16 bits, and 256 by a range.
        [Test]
        public static void DeepFramesHaveARange()
        {
            var ramp = Enumerable.Range(0, 64 * 64).Select(i => (ushort)i).ToArray();
            var packed = Enumerable.Range(0, 32 * 64).SelectMany(i => new[]
            {
                (byte)(2 * i), (byte)((2 * i >> 8) | (2 * i + 1) << 4), (byte)((2 * i + 1) >> 4),
            }).ToArray();
            using (var frames = new Dataset())
            using (var config = new Config())
            {
                frames.Push(Image.Mono16(ramp, 64, 64));
                frames.Push(new Image(packed, 64, 64, PixelFormat.Mono12p));
                Expect.Equal(16, frames.Pixels(0).Pixels.Distinct().Count());
                Expect.Equal(256, frames.Pixels(1).Pixels.Distinct().Count());
                Expect.Equal("", frames.Range);
                config.Parse("range=fixed range.low=0 range.high=4095");
                frames.SetRange(config);
                Expect.Equal("range=fixed range.low=0 range.high=4095 range.gamma=1", frames.Range);
                Expect.Equal(256, frames.Pixels(0).Pixels.Distinct().Count());
                Expect.True(frames.Pixels(0).Pixels.SequenceEqual(frames.Pixels(1).Pixels), "the same samples");
                // 16 bits and 12 have no percentiles in common.
                config.Parse("range=dataset");
                Expect.Fails(ErrorCode.InvalidArgument, () => frames.SetRange(config));
                Expect.Equal("range=fixed range.low=0 range.high=4095 range.gamma=1", frames.Range);
                Expect.Throws<ArgumentNullException>(() => frames.SetRange(null));
                Expect.Throws<ArgumentNullException>(() => frames.SetReading(null));
                var mask = Dataset.PolygonMask(new float[] { 0, 0, 64, 0, 0, 64 }, 64, 64);
                frames.SetIgnored(mask);
                frames.SetIgnored(1, mask);
                Expect.Fails(ErrorCode.InvalidArgument, () => frames.SetIgnored(5, mask));
                frames.SetIgnored(1, null);
                frames.SetIgnored(null);
                Expect.Fails(ErrorCode.InvalidArgument, () => Dataset.PolygonMask(new float[] { 0, 0, 1, 1 }, 64, 64));
                using (var reading = new Config())
                {
                    reading.Parse("exif=ignore page=0");
                    frames.SetReading(reading);
                }
                Expect.Fails(ErrorCode.InvalidArgument, () => frames.Push(Image.MonoFloat(new[] { float.NaN }, 1, 1)));
                Expect.Equal(2, frames.Push(Image.MonoFloat(ramp.Select(value => (float)value).ToArray(), 64, 64)));
                Expect.True(frames.Pixels(0).Pixels.SequenceEqual(frames.Pixels(2).Pixels), "the same numbers as floats");
                using (var model = Model.Of("resnet18", new Config()))
                {
                    Expect.Equal("range=full range.gamma=1", model.Range);
                }
            }
        }

        [Test]
        public static void FramesArePushed()
        {
            using (var frames = new Dataset())
            {
                Expect.Equal(0, frames.Count);
                Expect.Equal(0, frames.Push(Fixtures.Striped(2), "Teil ü"));
                Expect.Equal(1, frames.Push(Fixtures.Striped(3)));
                Expect.Equal(2, frames.Push(new ReadOnlySpan<byte>(Fixtures.Stripes(4)), 40, 36, PixelFormat.Mono8, "span"));
                Expect.Equal(3, frames.Count);
                Expect.Equal("Teil ü", frames.Name(0));
                Expect.Equal("1", frames.Name(1));
                Expect.Equal("span", frames.Name(2));
                // The pixels were copied: what was pushed as the same is the same, however it came.
                frames.Push(Fixtures.Striped(4));
                var vectors = Fixtures.TellingSession.Embed(frames);
                Expect.Near(1, vectors.Cosine(2, 3), 1e-6);
                Expect.True(vectors.Cosine(0, 2) < .9999, "different frames differ");
                Expect.Throws<ArgumentException>(() => frames.Push(Fixtures.Striped(2), "a\0b"));
                Expect.Equal(4, frames.Count);
            }
        }

        [Test]
        public static void FilesInMemoryAreImages()
        {
            var folder = Fixtures.ImageFolder(3);
            var file = File.ReadAllBytes(Path.Combine(folder, "02.png"));
            File.WriteAllText(Path.Combine(folder, "01.png"), "no picture");
            using (var images = Dataset.OpenFolder(folder))
            {
                var picture = Picture.Decode(file);
                Expect.Equal("40 36 Mono8", picture.Width + " " + picture.Height + " " + picture.Format);
                Expect.True(picture.Pixels.SequenceEqual(Fixtures.Stripes(3)), "the pixels that were written");
                Expect.Equal(3, images.PushEncoded(file, "Teil ü"));
                Expect.Equal("Teil ü", images.Name(3));
                foreach (var number in new[] { 2, 3 })
                {
                    var read = images.Pixels(number);
                    Expect.True(read.Width == 40 && read.Height == 36 && read.Pixels.SequenceEqual(picture.Pixels), "the same picture");
                }
                Expect.Near(1, new Embeddings(Fixtures.TellingSession.Embed(picture.View, Fixtures.Striped(3)).Values, Fixtures.Dim)
                    .Cosine(0, 1), 1e-6);
                Expect.Fails(ErrorCode.Format, () => images.Pixels(1));
                Expect.Equal(1, images.Skipped().Count);
                Expect.Fails(ErrorCode.InvalidArgument, () => images.Pixels(4));
                Expect.Throws<ArgumentOutOfRangeException>(() => images.Pixels(-1));
                Expect.Fails(ErrorCode.Format, () => images.PushEncoded(new byte[] { 1, 2, 3 }));
                Expect.Throws<ArgumentException>(() => images.PushEncoded(file, "a\0b"));
                Expect.Equal(4, images.Count);
            }
            foreach (var broken in new[] { new byte[] { 1, 2, 3 }, file.Take(60).ToArray() })
            {
                Expect.Fails(ErrorCode.Format, () => Picture.Decode(broken));
            }
            // Nothing at all has no address either.
            Expect.Throws<SeedException>(() => Picture.Decode(default(ReadOnlySpan<byte>)));
            Fixtures.WhileCollecting(() =>
            {
                for (var i = 0; i < 100; i++)
                {
                    Expect.Equal(1440, Picture.Decode((byte[])file.Clone()).Pixels.Length);
                }
            });
        }

        [Test]
        public static void WhatIsNotThereIsAnError()
        {
            var empty = Fixtures.Folder();
            Expect.Fails(ErrorCode.Io, () => Dataset.OpenFolder(Path.Combine(empty, "none")));
            Expect.Fails(ErrorCode.InvalidArgument, () => Dataset.OpenFolder(empty));
            Expect.Fails(ErrorCode.InvalidArgument, () => Dataset.OpenFiles());
            Expect.Throws<ArgumentNullException>(() => Dataset.OpenFiles("a", null));
            Expect.Throws<ArgumentNullException>(() => Dataset.OpenFolder(null));
        }
    }
}
