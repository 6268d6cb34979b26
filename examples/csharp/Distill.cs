// Distils a compact student from a frozen teacher on a folder of unlabelled images, saves it, opens it again and prints
// which images it finds alike. Ctrl-C ends the run after its step; what was learned by then is saved and used.
//
//   Distill --images DIR --teacher FILE [--teacher-arch mobilenet_v2] [--student-arch mobilenet_v3_small]
//           [--out student.safetensors] [--steps 800] [--batch 32] [--size 96] [--queries 5] [--neighbours 3]
using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Threading;
using LibSeed;

public static class Distill
{
    public static int Main(string[] words)
    {
        // Numbers with a point, whatever the country.
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        using (var interrupt = new CancellationTokenSource())
        {
            Console.CancelKeyPress += (sender, press) =>
            {
                press.Cancel = true;
                interrupt.Cancel();
            };
            try
            {
                Run(new Options(words), Console.Out, interrupt.Token);
                return 0;
            }
            catch (Exception error) when (error is SeedException || error is ArgumentException || error is DllNotFoundException)
            {
                Console.Error.WriteLine("distill: " + error.Message);
                return 1;
            }
        }
    }

    public static void Run(Options options, TextWriter output, CancellationToken interrupt)
    {
        using (var config = Configure(options))
        using (var images = Dataset.OpenFolder(options.Images))
        using (var teacher = Teacher.Load(options.Teacher, options.TeacherArchitecture, config))
        {
            using (var student = new Student(options.StudentArchitecture, config))
            {
                output.WriteLine("{0} images, teacher {1} ({2} numbers an image), student {3}", images.Count,
                    options.TeacherArchitecture, teacher.Dim, options.StudentArchitecture);
                Train(config, student, teacher, images, output, interrupt);
                student.Save(options.Out);
                output.WriteLine("student: {0}", options.Out);
            }
            Search(config, options, teacher, images, output);
        }
    }

    // What a short run on few images wants; the defaults are the paper's, for 200 epochs of a million images.
    private static Config Configure(Options options)
    {
        return new Config()
            .Set("steps", options.Steps).Set("batch_size", options.Batch)
            .Set("image_width", options.Size).Set("image_height", options.Size)
            .Set("queue_capacity", 1024).Set("warmup_steps", Math.Min(20, options.Steps / 10))
            .Set("progress_every", Math.Max(1, Math.Min(10, options.Steps / 10)))
            .Set("learning_rate", .2).Set("temperature_student", .1).Set("temperature_teacher", .02)
            .Set("view.crop_scale_min", .8).Set("view.brightness", .1).Set("view.contrast", .1)
            .Set("view.blur_probability", 0);
    }

    private static void Train(Config config, Student student, Teacher teacher, Dataset images, TextWriter output,
        CancellationToken interrupt)
    {
        var lines = new DirectProgress<TrainingProgress>(p =>
        {
            // The first report comes before the first step.
            if (double.IsNaN(p.Loss))
            {
                output.WriteLine("step {0}/{1}", p.Step, p.TotalSteps);
                return;
            }
            output.WriteLine("step {0}/{1}  loss {2:F4}  {3:F1} images/s  waited {4:F0} %  {5:F0} s left", p.Step, p.TotalSteps, p.Loss,
                p.ImagesPerSecond, 100 * p.WaitingShare, p.TimeLeft.TotalSeconds);
        });
        using (var trainer = new Trainer(config, student, teacher, images))
        {
            try
            {
                output.WriteLine("the run is {0}", trainer.Run(0, lines, interrupt));
            }
            catch (OperationCanceledException)
            {
                output.WriteLine("the run was interrupted at step {0}", trainer.StepsMade);
            }
        }
    }

    // Opens the saved student and embeds all images. Prints how many of the teacher's neighbours the student finds too, and
    // the nearest of a few images.
    private static void Search(Config config, Options options, Teacher teacher, Dataset images, TextWriter output)
    {
        Embeddings vectors, byTeacher;
        using (var session = Session.Open(options.Out, config))
        {
            vectors = session.Embed(images);
        }
        using (var session = Session.FromTeacher(teacher, config))
        {
            byTeacher = session.Embed(images);
        }
        var k = Math.Min(options.Neighbours, vectors.Count - 1);
        output.WriteLine("of the teacher's {0} nearest the student finds {1:F1} %, chance {2:F1} %", k,
            100 * Evaluation.Agreement(vectors, byTeacher, k), 100.0 * k / (vectors.Count - 1));
        var nearest = Evaluation.Neighbours(vectors, k);
        var queries = Math.Min(options.Queries, nearest.Length);
        for (var i = 0; i < queries; i++)
        {
            var query = i * nearest.Length / queries;
            output.Write("{0} is most like", images.Name(query));
            foreach (var number in nearest[query])
            {
                output.Write("  {0} ({1:F5})", images.Name((int)number), vectors.Cosine(query, (int)number));
            }
            output.WriteLine();
        }
        foreach (var line in images.Skipped())
        {
            output.WriteLine("skipped {0}", line);
        }
    }
}

public sealed class Options
{
    private readonly Dictionary<string, string> values = new Dictionary<string, string>
    {
        { "images", "" }, { "teacher", "" }, { "teacher-arch", "mobilenet_v2" }, { "student-arch", "mobilenet_v3_small" },
        { "out", "student.safetensors" }, { "steps", "800" }, { "batch", "32" }, { "size", "96" }, { "queries", "5" },
        { "neighbours", "3" },
    };

    public Options(string[] words)
    {
        for (var i = 0; i < words.Length; i += 2)
        {
            var name = words[i].TrimStart('-');
            if (!words[i].StartsWith("--", StringComparison.Ordinal) || !values.ContainsKey(name) || i + 1 == words.Length)
            {
                throw new ArgumentException("do not understand " + words[i] + "; the options are --" +
                    string.Join(" … --", values.Keys) + " …");
            }
            values[name] = words[i + 1];
        }
        if (Images == "" || Teacher == "")
        {
            throw new ArgumentException("--images and --teacher are needed");
        }
    }

    public string Images => values["images"];

    public string Teacher => values["teacher"];

    public string TeacherArchitecture => values["teacher-arch"];

    public string StudentArchitecture => values["student-arch"];

    public string Out => values["out"];

    public int Steps => Number("steps");

    public int Batch => Number("batch");

    public int Size => Number("size");

    public int Queries => Number("queries");

    public int Neighbours => Number("neighbours");

    private int Number(string name)
    {
        int number;
        if (!int.TryParse(values[name], NumberStyles.None, CultureInfo.InvariantCulture, out number) || number < 1)
        {
            throw new ArgumentException("--" + name + " is " + values[name] + ", expected a whole number from 1");
        }
        return number;
    }
}
