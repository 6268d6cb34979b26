using System;
using System.IO;
using System.Linq;

namespace LibSeed.Tests
{
    internal static class MemoryFileTests
    {
        [Test]
        public static void StudentsLiveInMemory()
        {
            var file = Path.Combine(Fixtures.Folder(), "student.safetensors");
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            {
                student.Save(file);
                student.Save("memory://student");
                var onDisk = File.ReadAllBytes(file);
                Expect.True(onDisk.SequenceEqual(MemoryFile.Get("memory://student")), "another file in memory than on the disk");
                MemoryFile.Put("memory://models/ä", onDisk);
                using (Session.Open("memory://models/ä", config))
                {
                }
                MemoryFile.Put("memory://models/ä", ReadOnlySpan<byte>.Empty);
                Expect.Equal(0, MemoryFile.Get("memory://models/ä").Length);
                MemoryFile.Remove("memory://models/ä");
                Expect.Fails(ErrorCode.Io, () => MemoryFile.Remove("memory://models/ä"));
                Expect.Fails(ErrorCode.Io, () => MemoryFile.Get("memory://none"));
                Expect.Fails(ErrorCode.InvalidArgument, () => MemoryFile.Put("student", onDisk));
            }
        }
    }
}
