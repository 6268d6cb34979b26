using System;

namespace LibSeed
{
    /// <summary>What kind of error happened. A newer library may have more.</summary>
    public enum ErrorCode
    {
        /// <summary>No error.</summary>
        Ok = 0,
        /// <summary>An argument is missing, out of bounds or contradicts another one.</summary>
        InvalidArgument = 1,
        /// <summary>A configuration key is unknown or its value is out of bounds.</summary>
        Config = 2,
        /// <summary>The operating system refused to read or write a file, or the other processes of a world do not answer.</summary>
        Io = 3,
        /// <summary>A file or image is damaged, hostile or of a kind that is not read.</summary>
        Format = 4,
        /// <summary>A file is sound but does not fit: another architecture, shape, version or data set.</summary>
        Mismatch = 5,
        /// <summary>Memory, on the host or on the device, could not be had.</summary>
        OutOfMemory = 6,
        /// <summary>The device is absent, or its driver or libtorch part is.</summary>
        Device = 7,
        /// <summary>The object is in use by another thread, or by the caller of the callback that asks.</summary>
        Busy = 8,
        /// <summary>An earlier internal error left the object in an unknown state; dispose it.</summary>
        Poisoned = 9,
        /// <summary>A cancel token ended the call.</summary>
        Cancelled = 10,
        /// <summary>libtorch reported an error.</summary>
        Torch = 11,
        /// <summary>Not supported by this version.</summary>
        Unsupported = 12,
        /// <summary>The library has another ABI than this assembly.</summary>
        NotInitialized = 13,
        /// <summary>A bug in libseed; please report the message.</summary>
        Internal = 14,
        /// <summary>The caller's buffer is too small; nothing was written.</summary>
        BufferTooSmall = 15,
    }

    /// <summary>An error of the library: a code for the program and a message for a person.</summary>
    public sealed class SeedException : Exception
    {
        /// <summary>An error with a message.</summary>
        public SeedException(ErrorCode code, string message) : base(message)
        {
            Code = code;
        }

        /// <summary>What kind of error it is.</summary>
        public ErrorCode Code { get; }
    }

    // What the functions of seed.h return.
    internal static class SeedError
    {
        internal static void Check(IntPtr error)
        {
            var exception = Take(error);
            if (exception != null)
            {
                throw exception;
            }
        }

        // Frees the error, also when there is no memory left for the exception. The error for that case is a static object
        // of the library, for which freeing is right too.
        internal static SeedException Take(IntPtr error)
        {
            if (error == IntPtr.Zero)
            {
                return null;
            }
            try
            {
                return new SeedException((ErrorCode)Native.seed_error_code(error),
                    Text.FromNative(Native.seed_error_message(error)));
            }
            finally
            {
                Native.seed_error_free(error);
            }
        }
    }
}
