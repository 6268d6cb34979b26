using System;
using System.Collections.Generic;
using System.IO;
using System.Threading;

namespace LibSeed.Tests
{
    // What the tests work on, small enough for steps of some milliseconds.
    internal static class Fixtures
    {
        internal const int Side = 32;
        internal const int Dim = 16;

        private static readonly List<string> Folders = new List<string>();
        private static readonly Lazy<string> TeacherFile = new Lazy<string>(() => WriteTeacher(Folder()));
        private static readonly Lazy<Session> Telling = new Lazy<Session>(() =>
        {
            using (var config = SmallConfig())
            using (var student = new Student("resnet18", config))
            {
                return Session.FromStudent(student, config);
            }
        });

        // Tells images apart, which an untrained MobileNet does not. All tests share it.
        internal static Session TellingSession => Telling.Value;

        // A new folder that is gone when the tests are.
        internal static string Folder()
        {
            var folder = Path.Combine(Path.GetTempPath(), "libseed-" + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(folder);
            Folders.Add(folder);
            return folder;
        }

        internal static void Clear()
        {
            foreach (var folder in Folders)
            {
                Directory.Delete(folder, true);
            }
        }

        internal static Config SmallConfig(long steps = 6)
        {
            return new Config()
                .Set("image_width", Side).Set("image_height", Side).Set("batch_size", 4).Set("steps", steps)
                .Set("queue_capacity", 10).Set("embedding_dim", Dim).Set("progress_every", 1).Set("workers", 1)
                .Set("precision", "fp32").Set("device", "cpu")
                // Tests count what a teacher is asked.
                .Set("queue.fill", "noise");
        }

        internal static Student NewStudent(Config config) => new Student("mobilenet_v3_small", config);

        internal static Teacher NewTeacher(Config config) => Teacher.Load(TeacherFile.Value, "mobilenet_v3_small", config);

        internal static string TeacherPath => TeacherFile.Value;

        // A grey picture of stripes.
        internal static byte[] Stripes(int period, int width = 40, int height = 36)
        {
            var pixels = new byte[width * height];
            for (var i = 0; i < pixels.Length; i++)
            {
                pixels[i] = (byte)(i % width / period % 2 == 1 ? 220 : 40);
            }
            return pixels;
        }

        internal static Image Striped(int period) => new Image(Stripes(period), 40, 36, PixelFormat.Mono8);

        // A folder of PNG files 00.png, 01.png and so on.
        internal static string ImageFolder(int count = 8)
        {
            var folder = Folder();
            WriteImages(folder, count);
            return folder;
        }

        // What the example needs: the folder images and the file teacher.safetensors.
        internal static void Write(string folder)
        {
            WriteTeacher(folder);
            WriteImages(Directory.CreateDirectory(Path.Combine(folder, "images")).FullName, 12);
        }

        private static string WriteTeacher(string folder)
        {
            var file = Path.Combine(folder, "teacher.safetensors");
            using (var config = SmallConfig())
            using (var student = NewStudent(config))
            {
                student.Save(file);
            }
            return file;
        }

        private static void WriteImages(string folder, int count)
        {
            for (var i = 0; i < count; i++)
            {
                PngFile.Write(Path.Combine(folder, i.ToString("00") + ".png"), Stripes(i + 1), 40, 36);
            }
        }

        // A data set in memory.
        internal static Dataset Frames(int count = 8)
        {
            var frames = new Dataset();
            for (var i = 0; i < count; i++)
            {
                frames.Push(Striped(i + 1), "frame " + i);
            }
            return frames;
        }

        // A run over eight frames. The objects it is made of are disposed of at once: it holds what it needs.
        internal static Trainer NewTrainer(long steps = 6)
        {
            using (var config = SmallConfig(steps).Set("seed", 5))
            using (var student = NewStudent(config))
            using (var teacher = NewTeacher(config))
            using (var frames = Frames())
            {
                return new Trainer(config, student, teacher, frames);
            }
        }

        // Collects in another thread, again and again, while the action runs.
        internal static void WhileCollecting(Action action)
        {
            var done = false;
            var collector = new Thread(() =>
            {
                while (!Volatile.Read(ref done))
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                }
            });
            collector.Start();
            try
            {
                action();
            }
            finally
            {
                Volatile.Write(ref done, true);
                collector.Join();
            }
        }
    }
}
