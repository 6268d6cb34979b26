using System;
using System.IO;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    // examples/csharp/Distill.cs, which is compiled into this program.
    internal static class ExampleTests
    {
        private static Options Small(int steps, out string student)
        {
            student = Path.Combine(Fixtures.Folder(), "student.safetensors");
            return new Options(new[]
            {
                "--images", Fixtures.ImageFolder(12), "--teacher", Fixtures.TeacherPath, "--teacher-arch", "mobilenet_v3_small",
                "--steps", steps.ToString(), "--batch", "4", "--size", "32", "--out", student
            });
        }

        [Test]
        public static void ExampleRuns()
        {
            string student;
            var output = new StringWriter();
            Distill.Run(Small(3, out student), output, CancellationToken.None);
            foreach (var part in new[] { "12 images", "step 3/3", "Finished", "of the teacher's 3 nearest", "00.png is most like" })
            {
                Expect.Holds(part, output.ToString());
            }
            Expect.Equal(5, output.ToString().Split('\n').Count(line => line.Contains("is most like")));
        }

        [Test]
        public static void InterruptedExampleSavesItsStudent()
        {
            string student;
            var output = new StringWriter();
            Distill.Run(Small(1000000, out student), output, new CancellationToken(true));
            Expect.Holds("interrupted at step 0", output.ToString());
            Expect.True(File.Exists(student), "the student's file");
        }

        [Test]
        public static void OptionsAreChecked()
        {
            foreach (var words in new[] { "", "--images a", "--images", "images a", "--picture a", "--images a --teacher b --steps none" })
            {
                Expect.Throws<ArgumentException>(() => new Options(words.Split(' ')).Steps.ToString());
            }
        }
    }
}
