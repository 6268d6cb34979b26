using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;

namespace LibSeed.Tests
{
    // A method that is a test: public, static, without arguments; it fails by throwing.
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class TestAttribute : Attribute
    {
    }

    // Runs the tests whose Class.Method holds one of the words given, or all of them.
    //
    //   LibSeed.Tests --header SEED.H [WORD...]
    //   LibSeed.Tests --example FOLDER            makes images and a teacher for the example there
    //   LibSeed.Tests --leave WAY                 ends in the middle of calls; see Leaving
    public static class Program
    {
        public static string Header { get; private set; }

        public static int Main(string[] words)
        {
            if (words.Length == 2 && words[0] == "--example")
            {
                Fixtures.Write(words[1]);
                return 0;
            }
            if (words.Length == 2 && words[0] == "--leave")
            {
                Leaving.By(words[1]);
                return Leaving.Code;
            }
            if (words.Length < 2 || words[0] != "--header")
            {
                Console.Error.WriteLine("usage: LibSeed.Tests --header SEED.H [WORD...]");
                return 2;
            }
            Header = words[1];
            var wanted = words.Skip(2).ToArray();
            int passed = 0;
            var failed = new List<string>();
            foreach (var test in Tests())
            {
                var name = test.DeclaringType.Name + "." + test.Name;
                if (wanted.Length > 0 && !wanted.Any(name.Contains))
                {
                    continue;
                }
                var watch = Stopwatch.StartNew();
                try
                {
                    test.Invoke(null, null);
                    passed++;
                    Console.WriteLine("ok    {0} ({1} ms)", name, watch.ElapsedMilliseconds);
                }
                catch (TargetInvocationException error)
                {
                    failed.Add(name);
                    Console.WriteLine("FAIL  {0}: {1}", name, error.InnerException);
                }
            }
            Fixtures.Clear();
            Console.WriteLine("{0} passed, {1} failed{2}", passed, failed.Count, string.Concat(failed.Select(name => "\n  " + name)));
            return failed.Count > 0 || passed == 0 ? 1 : 0;
        }

        private static IEnumerable<MethodInfo> Tests()
        {
            return typeof(Program).Assembly.GetTypes().OrderBy(type => type.Name)
                .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static))
                .Where(method => method.IsDefined(typeof(TestAttribute), false));
        }
    }
}
