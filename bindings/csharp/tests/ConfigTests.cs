using System;

namespace LibSeed.Tests
{
    internal static class ConfigTests
    {
        [Test]
        public static void SettingsComeBack()
        {
            using (var config = new Config().Set("epochs", 7).Set("learning_rate", .25).Set("checkpoint_path", "Prüfstand/läuft"))
            {
                Expect.Equal(7L, config.GetInt64("epochs"));
                Expect.Equal(.25, config.GetDouble("learning_rate"));
                Expect.Equal(7.0, config.GetDouble("epochs"));
                Expect.Equal("Prüfstand/läuft", config.GetString("checkpoint_path"));
                using (var copy = Config.FromJson(config.ToJson()))
                {
                    Expect.Equal("Prüfstand/läuft", copy.GetString("checkpoint_path"));
                    Expect.Equal(config.ToJson(), copy.ToJson());
                }
            }
        }

        [Test]
        public static void UnknownKeysAndBadValuesAreRefused()
        {
            using (var config = new Config())
            {
                Expect.Holds("epochs", Expect.Fails(ErrorCode.Config, () => config.Set("epoch", 1)).Message);
                Expect.Holds("1000", Expect.Fails(ErrorCode.Config, () => config.Set("learning_rate", 1e9)).Message);
                Expect.Fails(ErrorCode.Config, () => config.Set("device", 1));
                Expect.Fails(ErrorCode.Config, () => config.GetInt64("device"));
                Expect.Fails(ErrorCode.Config, () => config.GetString("seed"));
                Expect.Fails(ErrorCode.Config, () => config.Set("learning_rate", double.NaN));
                Expect.Fails(ErrorCode.Config, () => Config.FromJson("{"));
                Expect.Fails(ErrorCode.Config, () => Config.FromJson("{\"epoch\": 1}"));
            }
        }

        [Test]
        public static void TextsThatCHasNotAreRefused()
        {
            using (var config = new Config())
            {
                Expect.Equal("key", Expect.Throws<ArgumentException>(() => config.Set("epochs\0x", 1)).ParamName);
                Expect.Equal("value", Expect.Throws<ArgumentException>(() => config.Set("device", "cpu\0")).ParamName);
                Expect.Throws<ArgumentException>(() => config.Set("checkpoint_path", "half \ud83d of it"));
                Expect.Equal("key", Expect.Throws<ArgumentNullException>(() => config.Set(null, 1)).ParamName);
                Expect.Throws<ArgumentNullException>(() => config.Set("device", null));
                Expect.Throws<ArgumentNullException>(() => Config.FromJson(null));
                config.Set("checkpoint_path", "whole \ud83d\ude00");
                Expect.Equal("whole \ud83d\ude00", config.GetString("checkpoint_path"));
            }
        }
    }
}
