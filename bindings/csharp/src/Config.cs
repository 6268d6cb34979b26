using System;

namespace LibSeed
{
    /// <summary>
    /// Settings of a run or a session, under string keys; docs/abi.md lists them with bounds and defaults. Objects made with a
    /// configuration keep a copy: changing it later changes nothing of theirs. For one thread at a time; others get
    /// <see cref="ErrorCode.Busy"/>.
    /// "learning_rate" is for 256 images a step: a run takes learning_rate·batch_size/256.
    /// </summary>
    public sealed class Config : IDisposable
    {
        private readonly ConfigHandle handle;

        /// <summary>Makes a configuration with the paper's values.</summary>
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
