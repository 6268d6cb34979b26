using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

namespace LibSeed
{
    // Texts on their way to C and back: UTF-8 with a NUL, on every system and in every locale.
    internal static class Text
    {
        // Half a surrogate pair has no UTF-8; it must not become another path silently.
        private static readonly UTF8Encoding Utf8 = new UTF8Encoding(false, true);

        // C texts end at the first NUL, so one inside is refused.
        internal static byte[] ToNative(string text, string name)
        {
            if (text == null)
            {
                throw new ArgumentNullException(name);
            }
            var place = text.IndexOf('\0');
            if (place >= 0)
            {
                throw new ArgumentException("the text holds a NUL at position " + place, name);
            }
            try
            {
                var bytes = new byte[Utf8.GetByteCount(text) + 1];
                Utf8.GetBytes(text, 0, text.Length, bytes, 0);
                return bytes;
            }
            catch (EncoderFallbackException error)
            {
                throw new ArgumentException("the text holds half of a surrogate pair at position " + error.Index, name, error);
            }
        }

        // A lenient decoder: a message with a strange file name must still be readable.
        internal static unsafe string FromNative(IntPtr text)
        {
            if (text == IntPtr.Zero)
            {
                return "";
            }
            var bytes = (byte*)text;
            var length = 0;
            while (bytes[length] != 0)
            {
                length++;
            }
            return Encoding.UTF8.GetString(bytes, length);
        }

        internal static string FromNative(byte[] bytes)
        {
            var end = Array.IndexOf(bytes, (byte)0);
            return Encoding.UTF8.GetString(bytes, 0, end < 0 ? bytes.Length : end);
        }
    }

    // An array of texts, at rest in memory until Dispose.
    internal sealed class TextArray : IDisposable
    {
        private GCHandle pinned;

        internal TextArray(IReadOnlyCollection<string> texts, string name)
        {
            if (texts == null)
            {
                throw new ArgumentNullException(name);
            }
            var bytes = new List<byte>();
            var starts = new List<int>();
            foreach (var text in texts)
            {
                starts.Add(bytes.Count);
                bytes.AddRange(Text.ToNative(text, name));
            }
            pinned = GCHandle.Alloc(bytes.ToArray(), GCHandleType.Pinned);
            Pointers = starts.ConvertAll(start => pinned.AddrOfPinnedObject() + start).ToArray();
        }

        internal IntPtr[] Pointers { get; }

        internal UIntPtr Count => (UIntPtr)(uint)Pointers.Length;

        public void Dispose() => pinned.Free();
    }
}
