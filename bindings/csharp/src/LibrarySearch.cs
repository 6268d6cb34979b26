using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;

namespace LibSeed
{
    // Finds libseed.so: the file that the environment variable SEED_LIBRARY names, then beside this assembly and beside the
    // program, there also in runtimes/linux-x64/native, where packages keep it. After that the runtime looks in its own way.
    //
    // NativeLibrary is there from .NET Core 3.0 on, so it is reached by reflection and one assembly serves all runtimes.
    // Mono looks beside the assembly and in the loader's path by itself.
    internal static class LibrarySearch
    {
        internal const string Variable = "SEED_LIBRARY";

        private delegate bool TryLoad(string path, out IntPtr library);

        private static TryLoad tryLoad;

        internal static void Register()
        {
            var natives = Type.GetType("System.Runtime.InteropServices.NativeLibrary, System.Runtime.InteropServices", false);
            var resolver = Type.GetType("System.Runtime.InteropServices.DllImportResolver, System.Runtime.InteropServices",
                false);
            if (natives == null || resolver == null)
            {
                return;
            }
            var load = natives.GetMethod("TryLoad", new[] { typeof(string), typeof(IntPtr).MakeByRefType() });
            var set = natives.GetMethod("SetDllImportResolver", new[] { typeof(Assembly), resolver });
            var resolve = typeof(LibrarySearch).GetMethod("Resolve", BindingFlags.Static | BindingFlags.NonPublic);
            tryLoad = (TryLoad)Delegate.CreateDelegate(typeof(TryLoad), load);
            try
            {
                set.Invoke(null, new object[]
                {
                    typeof(LibrarySearch).Assembly, Delegate.CreateDelegate(resolver, resolve)
                });
            }
            catch (TargetInvocationException error) when (error.InnerException is InvalidOperationException)
            {
                // The application has set a resolver of its own for this assembly, which then decides.
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? path)
        {
            if (name != "seed")
            {
                return IntPtr.Zero;
            }
            foreach (var file in Candidates(assembly))
            {
                IntPtr library;
                if (File.Exists(file) && tryLoad(file, out library))
                {
                    return library;
                }
            }
            return IntPtr.Zero;
        }

        private static IEnumerable<string> Candidates(Assembly assembly)
        {
            var named = Environment.GetEnvironmentVariable(Variable);
            if (!string.IsNullOrEmpty(named))
            {
                yield return Path.GetFullPath(named);
            }
            // A program in a single file has no location of its assembly.
            foreach (var folder in new[] { Path.GetDirectoryName(assembly.Location), AppContext.BaseDirectory })
            {
                if (!string.IsNullOrEmpty(folder))
                {
                    yield return Path.Combine(folder, "libseed.so");
                    yield return Path.Combine(folder, "runtimes", "linux-x64", "native", "libseed.so");
                }
            }
        }
    }
}
