using System;

namespace LibSeed
{
    /// <summary>Vectors of one width, row after row.</summary>
    public sealed class Embeddings
    {
        /// <summary>Views an array of Count·<paramref name="dim"/> numbers, which is not copied.</summary>
        public Embeddings(float[] values, int dim)
        {
            Values = Given.Object(values, nameof(values));
            if (dim < 1 || values.Length % dim != 0)
            {
                throw new ArgumentException("the array has " + values.Length + " numbers, expected a multiple of the width " +
                    dim);
            }
            Dim = dim;
        }

        /// <summary>All numbers.</summary>
        public float[] Values { get; }

        /// <summary>The width of a row.</summary>
        public int Dim { get; }

        /// <summary>The number of rows.</summary>
        public int Count => Values.Length / Dim;

        /// <summary>A row, in the memory of <see cref="Values"/>.</summary>
        public Span<float> Row(int row) => new Span<float>(Values, Start(row), Dim);

        /// <summary>The cosine between two rows, −1 to 1; 0 where one of them is all zeros.</summary>
        public double Cosine(int first, int second)
        {
            int a = Start(first), b = Start(second);
            double product = 0, left = 0, right = 0;
            for (var i = 0; i < Dim; i++)
            {
                double x = Values[a + i], y = Values[b + i];
                product += x * y;
                left += x * x;
                right += y * y;
            }
            return left == 0 || right == 0 ? 0 : product / Math.Sqrt(left * right);
        }

        private int Start(int row)
        {
            if (row < 0 || row >= Count)
            {
                throw new ArgumentOutOfRangeException(nameof(row), row, "expected 0 to " + (Count - 1));
            }
            return row * Dim;
        }
    }
}
