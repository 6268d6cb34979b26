using System;

namespace LibSeed
{
    /// <summary>The native library itself.</summary>
    public static class Library
    {
        private static volatile bool ready;

        /// <summary>The library's version, such as "0.1.0".</summary>
        public static string Version => Text.FromNative(Reached(Native.seed_version));

        /// <summary>
        /// The version of the libtorch that is loaded, such as "2.11.0+cu130"; "" where none can be used.
        /// </summary>
        public static string LibtorchVersion => Text.FromNative(Reached(Native.seed_libtorch_version));

        /// <summary>
        /// Prepares the library for this process and loads libtorch's CUDA part where it is found. Everything else does so by
        /// itself; call it to hear of trouble early. Further calls do nothing.
        /// </summary>
        /// <exception cref="DllNotFoundException">libseed.so, or a library that it needs, was not found.</exception>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.NotInitialized"/> when libseed.so has another ABI than this assembly,
        /// <see cref="ErrorCode.Mismatch"/> when another version of libtorch is loaded.
        /// </exception>
        public static void Initialize()
        {
            if (!ready)
            {
                SeedError.Check(Reached(() => Native.seed_init(Native.AbiVersion)));
                ready = true;
            }
        }

        // The first call may find no library. The runtime's message does not say where one is looked for.
        internal static T Reached<T>(Func<T> call)
        {
            try
            {
                return call();
            }
            catch (DllNotFoundException error)
            {
                throw new DllNotFoundException("libseed.so could not be loaded: put it and the libtorch it was built with " +
                    "beside LibSeed.dll, or set LD_LIBRARY_PATH to its folder, or on .NET " + LibrarySearch.Variable +
                    " to its path. The runtime says: " + error.Message, error);
            }
        }
    }
}
