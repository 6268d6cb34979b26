using System;
using System.Linq;
using System.Threading;

namespace LibSeed.Tests
{
    internal static class LibraryTests
    {
        [Test]
        public static void VersionIsTheHeaders()
        {
            var header = new Header(Program.Header).Numbers("SEED_VERSION_");
            Expect.Equal(header["MAJOR"] + "." + header["MINOR"] + "." + header["PATCH"], Library.Version);
            Expect.Equal(Library.Version, typeof(Library).Assembly.GetName().Version.ToString(3));
        }

        [Test]
        public static void DevicesTellAboutThemselves()
        {
            Expect.True(Library.LibtorchVersion.StartsWith("2."), "a version of libtorch: " + Library.LibtorchVersion);
            Expect.True(Device.Count >= 0, "a number of devices");
            Expect.True(Device.Name("cpu").Length > 0 && Device.Name().Length > 0, "names");
            foreach (var device in new[] { "", "gpu", "cuda:4000" })
            {
                Expect.Throws<SeedException>(() => Device.Name(device));
                Expect.Throws<SeedException>(() => Device.Memory(device));
            }
            Expect.Throws<ArgumentNullException>(() => Device.Name(null));
            // What earlier tests have left must not be freed while memory is compared.
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var use = Device.Memory("cpu");
            Expect.True(use.Process > 0 && use.ProcessPeak >= use.Process && use.DeviceFree > 0 && use.DeviceTotal >= use.DeviceFree &&
                use.DeviceTaken == use.Process, "sound numbers");
            // Some of it may be freed meanwhile all the same, so this is much more.
            using (new Queue(1 << 18, 256))
            {
                Expect.True(Device.Memory("cpu").ProcessPeak > use.Process + (32 << 20), "some of 256 MiB more");
            }
        }

        [Test]
        public static void InitializeMayBeCalledAgain()
        {
            var threads = Enumerable.Range(0, 4).Select(number => new Thread(Library.Initialize)).ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            Library.Initialize();
        }

        [Test]
        public static void OtherAbisAreRefused()
        {
            var error = Expect.Fails(ErrorCode.NotInitialized, () => SeedError.Check(Native.seed_init(Native.AbiVersion + 1)));
            Expect.Holds((Native.AbiVersion + 1).ToString(), error.Message);
        }

        // The functions that every error goes through, on what they promise about none.
        [Test]
        public static void NoErrorIsNoError()
        {
            SeedError.Check(IntPtr.Zero);
            Expect.Equal(0, Native.seed_error_code(IntPtr.Zero));
            Expect.Equal("", Text.FromNative(Native.seed_error_message(IntPtr.Zero)));
            Native.seed_error_free(IntPtr.Zero);
            Native.seed_config_free(IntPtr.Zero);
        }
    }
}
