using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Xml;

namespace LibSeed.Tests
{
    // LibSeed.csproj, which needs an SDK that is not always there, against what it is about.
    internal static class ProjectTests
    {
        private static readonly string Folder = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(Program.Header)), "..", "bindings", "csharp");
        private static readonly XmlDocument Project = Read(Path.Combine(Folder, "LibSeed.csproj"));

        private static XmlDocument Read(string path)
        {
            var project = new XmlDocument();
            project.Load(path);
            return project;
        }

        private static string Property(string name)
        {
            return Project.SelectNodes("/Project/PropertyGroup/" + name).Cast<XmlNode>().Single().InnerText;
        }

        private static IEnumerable<string> Items(string kind)
        {
            return Project.SelectNodes("/Project/ItemGroup/" + kind + "/@Include").Cast<XmlNode>().Select(item => item.Value);
        }

        // The tests compile src/*.cs; the project must compile the same and nothing else.
        [Test]
        public static void SourcesAreThoseThatAreTested()
        {
            Expect.Equal("false", Property("EnableDefaultCompileItems"));
            Expect.Equal("src/**/*.cs", Items("Compile").Single());
            var sources = Path.Combine(Folder, "src");
            Expect.Equal(Directory.GetFiles(sources, "*.cs").Length, Directory.GetFiles(sources, "*", SearchOption.AllDirectories).Length);
        }

        [Test]
        public static void PackageIsDescribed()
        {
            Expect.Equal("LibSeed", Property("PackageId"));
            Expect.Equal(typeof(Library).Assembly.GetName().Name, Property("AssemblyName"));
            Expect.Equal(typeof(Library).Assembly.GetName().Version.ToString(3), Property("Version"));
            Expect.Equal("netstandard2.1;netstandard2.0", Property("TargetFrameworks"));
            var manifest = File.ReadAllText(Path.Combine(Folder, "..", "..", "Cargo.toml"));
            Expect.Holds("license = \"" + Property("PackageLicenseExpression") + "\"", manifest);
            var readme = Items("None").Single(file => Path.GetFileName(file) == Property("PackageReadmeFile"));
            Expect.True(File.Exists(Path.Combine(Folder, readme)), "the readme of the package, " + readme);
            var natives = Project.SelectNodes("/Project/ItemGroup/None/@PackagePath").Cast<XmlNode>().Select(path => path.Value);
            Expect.True(natives.Contains("runtimes/linux-x64/native/libseed.so"), "a place for libseed.so");
        }

        [Test]
        public static void ExampleRefersToTheProject()
        {
            var example = Path.Combine(Folder, "..", "..", "examples", "csharp");
            var reference = Read(Path.Combine(example, "Distill.csproj")).SelectSingleNode("/Project/ItemGroup/ProjectReference/@Include").Value;
            Expect.Equal(Path.GetFullPath(Path.Combine(Folder, "LibSeed.csproj")), Path.GetFullPath(Path.Combine(example, reference)));
        }
    }
}
