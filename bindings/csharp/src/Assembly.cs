using System.Reflection;
using System.Runtime.CompilerServices;

[assembly: AssemblyTitle("LibSeed")]
[assembly: AssemblyDescription("Self-supervised distillation of compact vision networks")]
[assembly: AssemblyVersion("0.1.0.0")]
[assembly: AssemblyFileVersion("0.1.0.0")]

// The tests compare what is internal with seed.h.
[assembly: InternalsVisibleTo("LibSeed.Tests")]
