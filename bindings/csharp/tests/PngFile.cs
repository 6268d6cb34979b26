using System;
using System.IO;

namespace LibSeed.Tests
{
    // Writes grey PNG files without compression, for which .NET has nothing.
    internal static class PngFile
    {
        internal static void Write(string path, byte[] pixels, int width, int height)
        {
            var rows = new MemoryStream();
            for (var y = 0; y < height; y++)
            {
                rows.WriteByte(0);
                rows.Write(pixels, y * width, width);
            }
            using (var file = File.Create(path))
            {
                file.Write(new byte[] { 0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a }, 0, 8);
                var head = new MemoryStream();
                Big(head, (uint)width);
                Big(head, (uint)height);
                // Eight bits of grey.
                head.Write(new byte[] { 8, 0, 0, 0, 0 }, 0, 5);
                Chunk(file, "IHDR", head.ToArray());
                Chunk(file, "IDAT", Stored(rows.ToArray()));
                Chunk(file, "IEND", new byte[0]);
            }
        }

        private static void Chunk(Stream file, string kind, byte[] content)
        {
            Big(file, (uint)content.Length);
            var body = new byte[4 + content.Length];
            for (var i = 0; i < 4; i++)
            {
                body[i] = (byte)kind[i];
            }
            content.CopyTo(body, 4);
            file.Write(body, 0, body.Length);
            var crc = uint.MaxValue;
            foreach (var value in body)
            {
                crc ^= value;
                for (var bit = 0; bit < 8; bit++)
                {
                    crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xedb88320 : crc >> 1;
                }
            }
            Big(file, ~crc);
        }

        // A zlib stream of one stored block.
        private static byte[] Stored(byte[] content)
        {
            var length = checked((ushort)content.Length);
            var stream = new MemoryStream();
            stream.Write(new byte[]
            {
                0x78, 0x01, 1, (byte)length, (byte)(length >> 8), (byte)~length, (byte)(~length >> 8)
            }, 0, 7);
            stream.Write(content, 0, content.Length);
            uint a = 1, b = 0;
            foreach (var value in content)
            {
                a = (a + value) % 65521;
                b = (b + a) % 65521;
            }
            Big(stream, b << 16 | a);
            return stream.ToArray();
        }

        private static void Big(Stream stream, uint value)
        {
            for (var shift = 24; shift >= 0; shift -= 8)
            {
                stream.WriteByte((byte)(value >> shift));
            }
        }
    }
}
