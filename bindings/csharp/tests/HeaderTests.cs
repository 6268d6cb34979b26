using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace LibSeed.Tests
{
    // The binding against seed.h: what the header has and the binding has not, or has otherwise, is a failure.
    internal static class HeaderTests
    {
        private static readonly Header Header = new Header(Program.Header);

        // The .NET types that fit a C type. Handles are apart: seed_x * is XHandle, or IntPtr where it is freed.
        private static readonly Dictionary<string, Type[]> Fitting = new Dictionary<string, Type[]>
        {
            { "void", new[] { typeof(void) } },
            { "int32_t", new[] { typeof(int) } },
            { "uint32_t", new[] { typeof(uint) } },
            { "int64_t", new[] { typeof(long) } },
            { "uint64_t", new[] { typeof(ulong) } },
            { "size_t", new[] { typeof(UIntPtr) } },
            { "double", new[] { typeof(double) } },
            { "float", new[] { typeof(float) } },
            { "double[3]", new[] { typeof(Triple) } },
            { "void*", new[] { typeof(IntPtr) } },
            { "char*", new[] { typeof(byte[]), typeof(IntPtr) } },
            { "char**", new[] { typeof(IntPtr[]) } },
            { "int32_t*", new[] { typeof(int).MakeByRefType(), typeof(IntPtr) } },
            { "uint32_t*", new[] { typeof(uint*), typeof(uint).MakeByRefType(), typeof(IntPtr) } },
            { "int64_t*", new[] { typeof(long).MakeByRefType(), typeof(long*), typeof(IntPtr) } },
            { "uint64_t*", new[] { typeof(ulong).MakeByRefType(), typeof(IntPtr) } },
            { "size_t*", new[] { typeof(UIntPtr).MakeByRefType() } },
            { "double*", new[] { typeof(double).MakeByRefType(), typeof(IntPtr) } },
            { "float*", new[] { typeof(float*), typeof(float).MakeByRefType(), typeof(IntPtr) } },
            { "seed_error*", new[] { typeof(IntPtr) } },
            { "uint8_t*", new[] { typeof(byte*), typeof(IntPtr) } },
            { "structDLManagedTensorVersioned*", new[] { typeof(IntPtr) } },
            { "seed_image*", new[] { typeof(ImageLayout*), typeof(ImageLayout).MakeByRefType() } },
            { "seed_memory*", new[] { typeof(MemoryLayout).MakeByRefType() } },
            { "seed_knn_result*", new[] { typeof(KnnLayout).MakeByRefType() } },
            { "seed_linear_result*", new[] { typeof(LinearLayout).MakeByRefType() } },
            { "seed_linear_sgd_result*", new[] { typeof(LinearSgdLayout).MakeByRefType() } },
            { "seed_segmentation_result*", new[] { typeof(SegmentationLayout).MakeByRefType() } },
            { "seed_drift_signal*", new[] { typeof(DriftSignalLayout).MakeByRefType() } },
            { "seed_fidelity*", new[] { typeof(FidelityLayout).MakeByRefType() } },
            { "seed_gate_options*", new[] { typeof(GateOptionsLayout).MakeByRefType() } },
            { "seed_map_options*", new[] { typeof(MapOptionsLayout).MakeByRefType() } },
            { "seed_verdict*", new[] { typeof(VerdictLayout).MakeByRefType() } },
            { "seed_interval", new[] { typeof(IntervalLayout) } },
            { "seed_criterion", new[] { typeof(CriterionLayout) } },
            { "seed_model_info*", new[] { typeof(ModelInfoLayout).MakeByRefType() } },
            { "seed_export_options*", new[] { typeof(ExportOptionsLayout).MakeByRefType() } },
            { "seed_store_options*", new[] { typeof(StoreOptionsLayout).MakeByRefType() } },
            { "seed_store_entry*", new[] { typeof(StoreEntryLayout*) } },
            { "seed_store_filter*", new[] { typeof(StoreFilterLayout).MakeByRefType() } },
            { "seed_store_record*", new[] { typeof(StoreRecordLayout).MakeByRefType() } },
            { "seed_store_stats*", new[] { typeof(StoreStatsLayout).MakeByRefType() } },
            { "seed_teacher_batch*", new[] { typeof(IntPtr) } },
            { "seed_progress*", new[] { typeof(IntPtr) } },
            { "seed_bank_progress*", new[] { typeof(IntPtr) } },
            { "seed_log_callback", new[] { typeof(LogCallback) } },
            { "seed_teacher_callback", new[] { typeof(TeacherCallback) } },
            { "seed_release_callback", new[] { typeof(ReleaseCallback) } },
            { "seed_progress_callback", new[] { typeof(ProgressCallback) } },
            { "seed_bank_callback", new[] { typeof(BankCallback) } },
            { "seed_finetune_progress*", new[] { typeof(IntPtr) } },
            { "seed_finetune_callback", new[] { typeof(FitCallback) } },
            { "char[256]", new[] { typeof(ReasonLayout) } },
            { "seed_distil_summary*", new[] { typeof(DistilSummaryLayout).MakeByRefType() } },
            { "seed_distil_progress*", new[] { typeof(IntPtr) } },
            { "seed_distil_callback", new[] { typeof(DistilCallback) } },
            { "seed_night_options*", new[] { typeof(NightOptionsLayout).MakeByRefType() } },
            { "seed_night_result*", new[] { typeof(NightResultLayout).MakeByRefType() } },
            { "seed_night_progress*", new[] { typeof(IntPtr) } },
            { "seed_night_callback", new[] { typeof(NightCallback) } },
            { "seed_count_callback", new[] { typeof(CountCallback) } },
        };

        private static readonly Dictionary<string, Type> Layouts = new Dictionary<string, Type>
        {
            { "seed_image", typeof(ImageLayout) },
            { "seed_memory", typeof(MemoryLayout) },
            { "seed_model_info", typeof(ModelInfoLayout) },
            { "seed_export_options", typeof(ExportOptionsLayout) },
            { "seed_teacher_batch", typeof(TeacherBatchLayout) },
            { "seed_progress", typeof(ProgressLayout) },
            { "seed_bank_progress", typeof(BankProgressLayout) },
            { "seed_knn_result", typeof(KnnLayout) },
            { "seed_linear_result", typeof(LinearLayout) },
            { "seed_linear_sgd_result", typeof(LinearSgdLayout) },
            { "seed_segmentation_result", typeof(SegmentationLayout) },
            { "seed_drift_signal", typeof(DriftSignalLayout) },
            { "seed_fidelity", typeof(FidelityLayout) },
            { "seed_gate_options", typeof(GateOptionsLayout) },
            { "seed_map_options", typeof(MapOptionsLayout) },
            { "seed_verdict", typeof(VerdictLayout) },
            { "seed_interval", typeof(IntervalLayout) },
            { "seed_criterion", typeof(CriterionLayout) },
            { "seed_finetune_progress", typeof(FitProgressLayout) },
            { "seed_distil_progress", typeof(DistilProgressLayout) },
            { "seed_distil_summary", typeof(DistilSummaryLayout) },
            { "seed_night_options", typeof(NightOptionsLayout) },
            { "seed_night_progress", typeof(NightProgressLayout) },
            { "seed_night_result", typeof(NightResultLayout) },
            { "seed_store_options", typeof(StoreOptionsLayout) },
            { "seed_store_entry", typeof(StoreEntryLayout) },
            { "seed_store_filter", typeof(StoreFilterLayout) },
            { "seed_store_record", typeof(StoreRecordLayout) },
            { "seed_store_stats", typeof(StoreStatsLayout) },
        };

        [Test]
        public static void EveryFunctionIsThere()
        {
            var declared = Entries().Select(Entry).OrderBy(name => name, StringComparer.Ordinal).ToArray();
            var wanted = Header.Functions().Select(function => function.Name).OrderBy(name => name, StringComparer.Ordinal)
                .ToArray();
            Expect.True(wanted.Length >= 100, "at least 100 functions in seed.h, found " + wanted.Length);
            Expect.Equal("", string.Join(", ", wanted.Except(declared)));
            Expect.Equal("", string.Join(", ", declared.Except(wanted)));
        }

        // What is declared and never called is no use to anyone.
        [Test]
        public static void EveryFunctionIsCalled()
        {
            var folder = Path.Combine(Path.GetDirectoryName(Program.Header), "..", "bindings", "csharp", "src");
            var sources = Directory.GetFiles(folder, "*.cs").Where(file => Path.GetFileName(file) != "Native.cs")
                .Select(File.ReadAllText).ToArray();
            var words = new HashSet<string>(sources.SelectMany(source => Regex.Matches(source, @"\bNative\.(seed_\w+)").Cast<Match>())
                .Select(match => match.Groups[1].Value));
            Expect.Equal("", string.Join(", ", Entries().Select(Entry).Where(name => !words.Contains(name))));
        }

        [Test]
        public static void EveryFunctionHasTheHeadersTypes()
        {
            var functions = Header.Functions().ToDictionary(function => function.Name);
            var wrong = new List<string>();
            foreach (var entry in Entries())
            {
                var import = (DllImportAttribute)entry.GetCustomAttributes(typeof(DllImportAttribute), false).Single();
                var function = functions[Entry(entry)];
                var found = entry.GetParameters();
                if (import.CallingConvention != CallingConvention.Cdecl || import.Value != "seed")
                {
                    wrong.Add(function.Name + ": library or calling convention");
                }
                if (!Fits(function.Result, entry.ReturnType, true) || found.Length != function.Parameters.Length)
                {
                    wrong.Add(function.Name + ": result or number of parameters");
                    continue;
                }
                for (var i = 0; i < found.Length; i++)
                {
                    if (!Fits(function.Parameters[i].Type, found[i].ParameterType, function.Name.EndsWith("_free")))
                    {
                        wrong.Add(function.Name + ": " + function.Parameters[i].Name + " is " + function.Parameters[i].Type +
                            " in C and " + found[i].ParameterType + " here");
                    }
                }
            }
            Expect.Equal("", string.Join("\n", wrong));
        }

        [Test]
        public static void StructsHaveTheHeadersLayout()
        {
            var structs = Header.Structs();
            Expect.Equal(string.Join(" ", structs.Keys.OrderBy(name => name)), string.Join(" ", Layouts.Keys.OrderBy(name => name)));
            foreach (var layout in Layouts)
            {
                int offset = 0, widest = 1;
                foreach (var field in structs[layout.Key])
                {
                    var own = layout.Value.GetField(field.Name, BindingFlags.Instance | BindingFlags.NonPublic);
                    Expect.True(own != null, layout.Key + " has the field " + field.Name);
                    var type = field.Count == 1 ? field.Type : field.Type + "[" + field.Count + "]";
                    Expect.True(Fits(type, own.FieldType, true), layout.Key + "." + field.Name + " is a " + type);
                    var whole = Marshal.SizeOf(own.FieldType);
                    var size = Alignment(own.FieldType);
                    offset = (offset + size - 1) / size * size;
                    Expect.Equal(offset, (int)Marshal.OffsetOf(layout.Value, field.Name));
                    offset += whole;
                    widest = Math.Max(widest, size);
                }
                Expect.Equal((offset + widest - 1) / widest * widest, Marshal.SizeOf(layout.Value));
            }
        }

        // What C aligns by: a number's size, and of a struct its widest field's.
        private static int Alignment(Type type)
        {
            return type.IsPrimitive ? Marshal.SizeOf(type)
                : type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic).Max(field => Alignment(field.FieldType));
        }

        [Test]
        public static void CallbacksHaveTheHeadersTypes()
        {
            var callbacks = Header.Callbacks();
            Expect.True(callbacks.Count >= 6, "at least 6 callbacks in seed.h, found " + callbacks.Count);
            foreach (var callback in callbacks)
            {
                var type = Fitting[callback.Key].Single();
                var found = type.GetMethod("Invoke").GetParameters();
                Expect.Equal(callback.Value.Length, found.Length);
                for (var i = 0; i < found.Length; i++)
                {
                    Expect.True(Fits(callback.Value[i].Type, found[i].ParameterType, true), callback.Key + ": " + callback.Value[i].Name);
                }
                var how = (UnmanagedFunctionPointerAttribute)type.GetCustomAttributes(typeof(UnmanagedFunctionPointerAttribute), false)
                    .Single();
                Expect.Equal(CallingConvention.Cdecl, how.CallingConvention);
            }
        }

        [Test]
        public static void EnumsHaveTheHeadersNumbers()
        {
            Same(typeof(ErrorCode), Header.Numbers("SEED_ERROR_"), "OK");
            Same(typeof(LogLevel), Header.Numbers("SEED_LOG_"), null);
            Same(typeof(PixelFormat), Header.Numbers("SEED_PIXEL_"), null);
            Same(typeof(Outcome), Header.Numbers("SEED_OUTCOME_"), null);
            Same(typeof(BatchFormat), Header.Numbers("SEED_BATCH_"), null);
            Same(typeof(HeadKind), Header.Numbers("SEED_HEAD_"), null);
            Same(typeof(Resize), Header.Numbers("SEED_RESIZE_"), null);
            Same(typeof(ExportInput), Header.Numbers("SEED_EXPORT_INPUT_"), null);
            Same(typeof(ExportOutputs), Header.Numbers("SEED_EXPORT_OUTPUT_"), null);
            Same(typeof(ExportFormat), Header.Numbers("SEED_EXPORT_").Where(number => !number.Key.Contains("PUT_"))
                .ToDictionary(number => number.Key, number => number.Value), null);
            Same(typeof(Worse), Header.Numbers("SEED_WORSE_"), "NONE");
            Same(typeof(DistilStage), Header.Numbers("SEED_DISTIL_"), null);
            Same(typeof(FitStage), Header.Numbers("SEED_STAGE_"), null);
            Same(typeof(MapMethod), Header.Numbers("SEED_MAP_"), null);
            Same(typeof(StoreKeep), Header.Numbers("SEED_STORE_KEEP_"), null);
            var plain = Header.Numbers("SEED_STORE_").Where(number => !number.Key.StartsWith("KEEP_") && !number.Key.StartsWith("TEXT_"))
                .ToLookup(number => Enum.GetNames(typeof(StoreEncoding)).Contains(number.Key, StringComparer.OrdinalIgnoreCase));
            Same(typeof(StoreEncoding), plain[true].ToDictionary(number => number.Key, number => number.Value), null);
            Same(typeof(StoreLabelled), plain[false].ToDictionary(number => number.Key, number => number.Value), null);
            Expect.Equal(Header.Numbers("SEED_STORE_TEXT_")["NAME"], Native.StoreTextName);
            Expect.Equal(Header.Numbers("SEED_STORE_TEXT_")["METADATA"], Native.StoreTextMetadata);
            Expect.Equal(Header.Numbers("SEED_STORE_TEXT_")["LABEL"], Native.StoreTextLabel);
            Expect.Equal(Header.Numbers("SEED_ABI_")["VERSION"], (int)Native.AbiVersion);
            Expect.Equal(Header.Numbers("SEED_DEVICE_")["CPU"], Native.DeviceCpu);
            Expect.Equal(Header.Numbers("SEED_DEVICE_")["CUDA"], Native.DeviceCuda);
            Expect.Equal(Header.Numbers("SEED_")["OK"], (int)ErrorCode.Ok);
        }

        private static void Same(Type type, IDictionary<string, int> numbers, string besides)
        {
            Expect.True(numbers.Count > 0, "numbers of " + type.Name);
            var own = Enum.GetNames(type).Where(name => name.ToUpperInvariant() != besides)
                .ToDictionary(name => name.ToUpperInvariant(), name => (int)Enum.Parse(type, name));
            foreach (var number in numbers)
            {
                var name = number.Key.Replace("_", "");
                Expect.True(own.ContainsKey(name) && own[name] == number.Value, type.Name + " has " + number.Key + " = " + number.Value);
            }
            Expect.Equal(numbers.Count, own.Count);
        }

        private static bool Fits(string type, Type found, bool bare)
        {
            Type[] fitting;
            if (Fitting.TryGetValue(type, out fitting))
            {
                return fitting.Contains(found);
            }
            if (type.EndsWith("**"))
            {
                return found == typeof(IntPtr).MakeByRefType();
            }
            var name = string.Concat(type.TrimEnd('*').Split('_').Skip(1).Select(word => char.ToUpperInvariant(word[0]) + word.Substring(1)));
            return bare ? found == typeof(IntPtr) : found.Name == name + "Handle";
        }

        private static IEnumerable<MethodInfo> Entries()
        {
            return typeof(Native).GetMethods(BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)
                .Where(method => method.IsDefined(typeof(DllImportAttribute), false));
        }

        private static string Entry(MethodInfo method)
        {
            return ((DllImportAttribute)method.GetCustomAttributes(typeof(DllImportAttribute), false).Single()).EntryPoint ?? method.Name;
        }
    }
}
