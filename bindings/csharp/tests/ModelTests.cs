using System;
using System.IO;
using System.Linq;

namespace LibSeed.Tests
{
    internal static class ModelTests
    {
        [Test]
        public static void ArchitecturesAreDescribed()
        {
            Expect.True(Model.Architectures.Contains("resnet18") && Model.Architectures.Contains("mobilenet_v3_small"), "known names");
            using (var config = Fixtures.SmallConfig())
            using (var model = Model.Of("resnet18", config))
            {
                var info = model.Info;
                Expect.Equal("resnet18", model.Architecture);
                Expect.Equal("512 16 32 32 3 Projection Whole", info.FeatureDim + " " + info.EmbeddingDim + " " + info.InputWidth + " " + info.InputHeight +
                    " " + info.InputChannels + " " + info.Head + " " + info.Resize);
                // 11.18 million of torchvision's without the classifier, and the head's.
                Expect.Equal(11176512L + 262656 + 8208, info.Parameters);
                Expect.True(info.MultiplyAdds > 0, "multiplications");
                Expect.Near(.485, info.Mean[0], 1e-6);
                Expect.Near(.406, info.Mean[2], 1e-6);
                Expect.Near(.225, info.Std[2], 1e-6);
                Expect.Fails(ErrorCode.InvalidArgument, () => Model.Of("resnet19", config));
                Expect.Throws<ArgumentNullException>(() => Model.Of("resnet18", null));
            }
        }

        [Test]
        public static void StudentsAreExported()
        {
            var file = Path.Combine(Fixtures.Folder(), "Ausfuhr ü");
            using (var config = Fixtures.SmallConfig())
            using (var student = Fixtures.NewStudent(config))
            {
                student.SetProvenance("line", "{\"name\": \"Presse ü\"}");
                student.SetProvenance("gone", "1");
                student.SetProvenance("gone", "null");
                Expect.Holds("Presse ü", student.Provenance);
                Expect.Fails(ErrorCode.InvalidArgument, () => student.SetProvenance("library", "1"));
                Expect.Fails(ErrorCode.InvalidArgument, () => student.SetProvenance("line", "Presse"));
                Expect.Throws<ArgumentNullException>(() => student.SetProvenance("line", null));
                foreach (ExportFormat format in Enum.GetValues(typeof(ExportFormat)))
                {
                    student.Export(file, format, ExportInput.Bytes, ExportOutputs.Both);
                    using (var model = Model.Open(file))
                    {
                        Expect.Equal("mobilenet_v3_small", model.Architecture);
                        Expect.Holds("Presse ü", model.Provenance);
                        Expect.True(!model.Provenance.Contains("gone"), "what was removed");
                    }
                }
                Expect.Fails(ErrorCode.InvalidArgument, () => student.Export(file, (ExportFormat)77));
                Expect.Fails(ErrorCode.Io, () => student.Export("/no/such/folder/student"));
                Expect.Fails(ErrorCode.Io, () => Model.Open("/no/such/file"));
                File.WriteAllText(file, "no model");
                Expect.Fails(ErrorCode.Format, () => Model.Open(file));
            }
        }

        [Test]
        public static void ObjectsAreDescribed()
        {
            using (var config = Fixtures.SmallConfig())
            using (var teacher = Fixtures.NewTeacher(config))
            {
                var student = Fixtures.NewStudent(config);
                var session = Session.FromStudent(student, config);
                var parameters = student.ParameterCount;
                foreach (var model in new[] { Model.Of(student), Model.Of(teacher, config), Model.Of(session) })
                {
                    Expect.Equal(parameters, model.Info.Parameters);
                    Expect.Equal(Fixtures.Side, model.Info.InputWidth);
                    model.Dispose();
                    Expect.Throws<ObjectDisposedException>(() => model.Info.ToString());
                    Expect.Throws<ObjectDisposedException>(() => model.Provenance.ToString());
                }
                student.Dispose();
                session.Dispose();
                foreach (var use in new Action[]
                {
                    () => Model.Of(student), () => Model.Of(session), () => student.LoadWeights("a"), () => student.WeightsReport(),
                    () => student.SetProvenance("a", "1"), () => student.Export("a"),
                    () => student.Provenance.ToString(),
                })
                {
                    Expect.Throws<ObjectDisposedException>(use);
                }
            }
        }

        [Test]
        public static void WeightsAreTakenOver()
        {
            var file = Path.Combine(Fixtures.Folder(), "weights");
            using (var config = Fixtures.SmallConfig())
            using (var first = Fixtures.NewStudent(config))
            using (var second = Fixtures.NewStudent(config.Set("seed", 9)))
            using (var other = new Student("resnet10", config))
            {
                first.Save(file);
                Expect.Holds("mobilenet_v3_small", Model.DescribeWeights(file));
                Expect.Fails(ErrorCode.InvalidArgument, () => second.WeightsReport());
                second.LoadWeights(file);
                Expect.Holds("\"head\":true", second.WeightsReport());
                using (var left = Session.FromStudent(first, config))
                using (var right = Session.FromStudent(second, config))
                {
                    float[] expected = left.Embed(Fixtures.Striped(3)).Values, found = right.Embed(Fixtures.Striped(3)).Values;
                    Expect.True(expected.Zip(found, (a, b) => Math.Abs(a - b)).Max() < 1e-4, "the same weights");
                }
                Expect.Fails(ErrorCode.Mismatch, () => other.LoadWeights(file));
                Expect.Fails(ErrorCode.Io, () => second.LoadWeights("/no/such/file"));
                Expect.Fails(ErrorCode.Io, () => Model.DescribeWeights("/no/such/file"));
            }
        }
    }
}
