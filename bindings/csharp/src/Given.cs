using System;

namespace LibSeed
{
    // Arguments that must be there.
    internal static class Given
    {
        internal static T Object<T>(T value, string name) where T : class
        {
            return value ?? throw new ArgumentNullException(name);
        }
    }
}
