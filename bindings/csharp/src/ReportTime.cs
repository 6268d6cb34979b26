using System;

namespace LibSeed
{
    public sealed partial class Report
    {
        private static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        /// <summary>Adds a measurement to a series of a chart over time; chart and series stand where they were first named.</summary>
        public void AddTimePoint(string chart, string yLabel, string series, DateTimeOffset at, double value) =>
            AddTimePoint(chart, yLabel, series, at, new Interval(value, double.NaN, double.NaN));

        /// <summary>
        /// The same of a mean with its confidence interval, such as <see cref="Fidelity.Kl"/>, which is drawn as a band.
        /// </summary>
        public void AddTimePoint(string chart, string yLabel, string series, DateTimeOffset at, Interval interval)
        {
            SeedError.Check(Native.seed_report_add_time_point(Handle, Text.ToNative(chart, nameof(chart)),
                Text.ToNative(yLabel, nameof(yLabel)), Text.ToNative(series, nameof(series)), Microseconds(at), interval.Value,
                interval.Low, interval.High));
        }

        /// <summary>
        /// Adds what a batch of images said (<see cref="Drift.Measure"/>) to a chart over time: its energy, marked where the signal was
        /// raised, and the threshold of that batch.
        /// </summary>
        public void AddDrift(string chart, DateTimeOffset at, DriftSignal signal)
        {
            var layout = Given.Object(signal, nameof(signal)).Layout();
            SeedError.Check(Native.seed_report_add_drift(Handle, Text.ToNative(chart, nameof(chart)), Microseconds(at), ref layout));
        }

        /// <summary>
        /// Draws a level across a chart, such as a threshold. One of the same name takes the place of the earlier one.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> when the report has no such chart yet.
        /// </exception>
        public void AddLimit(string chart, string name, double y) => SeedError.Check(Native.seed_report_add_limit(Handle,
            Text.ToNative(chart, nameof(chart)), Text.ToNative(name, nameof(name)), y));

        // A tick is a tenth of a microsecond.
        private static long Microseconds(DateTimeOffset at) => (at.UtcDateTime - Epoch).Ticks / 10;
    }
}
