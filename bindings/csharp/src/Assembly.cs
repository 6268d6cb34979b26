using System.Runtime.CompilerServices;

// The tests compare what is internal with seed.h.
[assembly: InternalsVisibleTo("LibSeed.Tests")]
