using System;

namespace LibSeed
{
    /// <summary>
    /// Settings of a run or a session, under string keys; docs/settings.md lists them with bounds and defaults. Objects made with a
    /// configuration keep a copy: changing it later changes nothing of theirs. For one thread at a time; others get
    /// <see cref="ErrorCode.Busy"/>.
    /// "learning_rate" is for 256 images a step: a run takes learning_rate·batch_size/256.
    /// </summary>
    public sealed class Config : IDisposable
    {
        private readonly ConfigHandle handle;

        /// <summary>Makes a configuration with the defaults, mostly the paper's values; see <see cref="Preset"/>.</summary>
        public Config() : this(SeedHandle.Make<ConfigHandle>(Native.seed_config_new))
        {
        }

        private Config(ConfigHandle handle)
        {
            this.handle = handle;
        }

        internal ConfigHandle Handle => handle.Alive(this);

        /// <summary>
        /// Makes a configuration from a flat JSON object of keys and values, as <see cref="ToJson"/> writes it; keys that are
        /// not there keep their defaults.
        /// </summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Config"/> for unknown keys, values out of bounds and text that is no such JSON.
        /// </exception>
        public static Config FromJson(string json)
        {
            var text = Text.ToNative(json, nameof(json));
            return new Config(SeedHandle.Make<ConfigHandle>((out IntPtr result) =>
                Native.seed_config_from_json(text, out result)));
        }

        /// <summary>Sets a whole number (or a fractional key to a whole number). Returns this object.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Config"/> naming the key, the value, the bounds and, for an unknown key, the nearest known one.
        /// </exception>
        public Config Set(string key, long value)
        {
            SeedError.Check(Native.seed_config_set_int(Handle, Text.ToNative(key, nameof(key)), value));
            return this;
        }

        /// <summary>Sets a fractional number. Returns this object. Errors as for whole numbers.</summary>
        public Config Set(string key, double value)
        {
            SeedError.Check(Native.seed_config_set_float(Handle, Text.ToNative(key, nameof(key)), value));
            return this;
        }

        /// <summary>Sets a text. Returns this object. Errors as for whole numbers.</summary>
        public Config Set(string key, string value)
        {
            SeedError.Check(Native.seed_config_set_string(Handle, Text.ToNative(key, nameof(key)),
                Text.ToNative(value, nameof(value))));
            return this;
        }

        /// <summary>
        /// Changes settings by pairs key=value with whitespace, line breaks or commas between them, such as
        /// "steps=200 learning_rate=0.1"; a value that holds one of these is put in double quotes. All are set or, on an error,
        /// none. Returns this object. Errors as for whole numbers.
        /// </summary>
        public Config Parse(string pairs)
        {
            SeedError.Check(Native.seed_config_parse(Handle, Text.ToNative(pairs, nameof(pairs))));
            return this;
        }

        /// <summary>
        /// Sets the values of a preset, whatever they were: "paper", "site", "site_from_weights", "moco_v2", "simclr" or
        /// "swav". docs/distil.md has them. What is set afterwards counts. Returns this object.
        /// </summary>
        /// <exception cref="SeedException"><see cref="ErrorCode.Config"/> for another name, listing them.</exception>
        public Config Preset(string name)
        {
            SeedError.Check(Native.seed_config_preset(Handle, Text.ToNative(name, nameof(name))));
            return this;
        }

        /// <summary>
        /// Measures both networks for a moment and fits the settings to a run of the given time. What was set by its key before is
        /// kept; the reasons go to the log. Make the student afterwards: the plan decides on the size of its images. Where
        /// "view_count" is above 0 then, keep the teacher's embeddings in a <see cref="Bank"/> first. Returns this object.
        /// </summary>
        /// <param name="dataset">The frames.</param>
        /// <param name="teacher">Whom the student will follow.</param>
        /// <param name="architecture">The student's.</param>
        /// <param name="time">How long the run is to take, from a second on.</param>
        /// <param name="fromWeights">Whether the student starts from weights of its own.</param>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.InvalidArgument"/> for an empty data set or a time below a second; nothing is changed then.
        /// </exception>
        public Config Plan(Dataset dataset, Teacher teacher, string architecture, TimeSpan time, bool fromWeights = false)
        {
            var images = Given.Object(dataset, nameof(dataset)).Handle;
            var master = Given.Object(teacher, nameof(teacher)).Handle;
            var name = Text.ToNative(architecture, nameof(architecture));
            using (InFlight.Begin())
            {
                SeedError.Check(Native.seed_config_plan(Handle, images, master, name, fromWeights ? 1 : 0, time.TotalSeconds));
            }
            return this;
        }

        /// <summary>Reads a whole number.</summary>
        /// <exception cref="SeedException">
        /// <see cref="ErrorCode.Config"/> for an unknown key or one of another kind.
        /// </exception>
        public long GetInt64(string key)
        {
            long value;
            SeedError.Check(Native.seed_config_get_int(Handle, Text.ToNative(key, nameof(key)), out value));
            return value;
        }

        /// <summary>Reads a number, fractional or whole. Errors as <see cref="GetInt64"/>.</summary>
        public double GetDouble(string key)
        {
            double value;
            SeedError.Check(Native.seed_config_get_float(Handle, Text.ToNative(key, nameof(key)), out value));
            return value;
        }

        /// <summary>Reads a text. Errors as <see cref="GetInt64"/>.</summary>
        public string GetString(string key)
        {
            var name = Text.ToNative(key, nameof(key));
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_config_get_string(Handle, name, buffer, capacity, out length));
        }

        /// <summary>Writes all settings as a flat JSON object.</summary>
        public string ToJson()
        {
            return Filling.Text((IntPtr buffer, UIntPtr capacity, out UIntPtr length) =>
                Native.seed_config_to_json(Handle, buffer, capacity, out length));
        }

        /// <summary>Releases the configuration.</summary>
        public void Dispose() => handle.Dispose();
    }
}
