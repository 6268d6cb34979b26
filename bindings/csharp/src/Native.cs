using System;
using System.Runtime.InteropServices;

namespace LibSeed
{
    // The functions of seed.h, by their names and in its order. A test compares this class with the header.
    //
    // Errors come as pointers and not as SafeHandles, so that success costs no object: SeedError.Check frees them. Texts
    // are UTF-8 with a NUL (see Text), buffers are addresses (see Filling), and a handle that may be NULL is never null,
    // which the marshaller refuses, but empty.
    internal static unsafe class Native
    {
        private const string Seed = "seed";
        private const CallingConvention C = CallingConvention.Cdecl;

        internal const uint AbiVersion = 2;
        internal const int DeviceCpu = 0;
        internal const int DeviceCuda = 1;
        internal const int StoreTextName = 1;
        internal const int StoreTextMetadata = 2;
        internal const int StoreTextLabel = 3;

        // Before the first call, wherever it comes from. An explicit static constructor is not run later than that.
        static Native()
        {
            LibrarySearch.Register();
        }

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_init(uint abiVersion);

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_version();

        [DllImport(Seed, CallingConvention = C)] internal static extern int seed_error_code(IntPtr error);
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_error_message(IntPtr error);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_error_free(IntPtr error);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_log_set_callback(int level, LogCallback callback, IntPtr userData);
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_log_to_stderr(byte[] filter);

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_libtorch_version();
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_device_count(out uint result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_device_name(byte[] device, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_memory_use(byte[] device, ref MemoryLayout memory);

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_config_new(out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_from_json(byte[] json, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_config_free(IntPtr config);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_set_int(ConfigHandle config, byte[] key, long value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_set_float(ConfigHandle config, byte[] key, double value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_set_string(ConfigHandle config, byte[] key, byte[] value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_parse(ConfigHandle config, byte[] pairs);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_get_int(ConfigHandle config, byte[] key, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_get_float(ConfigHandle config, byte[] key, out double result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_get_string(ConfigHandle config, byte[] key, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_to_json(ConfigHandle config, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_cancel_token_new(out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_cancel_token_trigger(CancelTokenHandle token);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_cancel_token_reset(CancelTokenHandle token);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_cancel_token_pause(CancelTokenHandle token);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_cancel_token_resume(CancelTokenHandle token);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_cancel_token_free(IntPtr token);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_memory_file_put(byte[] path, byte* bytes, UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_memory_file_get(byte[] path, IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_memory_file_remove(byte[] path);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_image_decode(byte* bytes, UIntPtr length, ref ImageLayout image,
            IntPtr buffer, UIntPtr capacity, out UIntPtr needed);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_image_encode(ref ImageLayout image, IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_image_save(ref ImageLayout image, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_heat_map_picture(ref ImageLayout image, float* map, UIntPtr pixels, float low, float high,
            ref ImageLayout picture, IntPtr buffer, UIntPtr capacity, out UIntPtr needed);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_open_folder(byte[] folder, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_open_files(IntPtr[] paths, UIntPtr count, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_dataset_new(out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_push(DatasetHandle dataset, ImageLayout* image, byte[] name,
            out UIntPtr index);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_push_encoded(DatasetHandle dataset, byte* bytes, UIntPtr length,
            byte[] name, out UIntPtr index);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_pixels(DatasetHandle dataset, UIntPtr index, ref ImageLayout image,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_set_range(DatasetHandle dataset, ConfigHandle config);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_set_ignored(DatasetHandle dataset, UIntPtr index, ImageLayout* mask);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_polygon_mask(float* corners, UIntPtr count, uint width, uint height, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_set_reading(DatasetHandle dataset, ConfigHandle config);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_range(DatasetHandle dataset, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_count(DatasetHandle dataset, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_name(DatasetHandle dataset, UIntPtr index, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_skipped_count(DatasetHandle dataset, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_skipped(DatasetHandle dataset, UIntPtr index, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_warnings(DatasetHandle dataset, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_broken(DatasetHandle dataset, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_dataset_free(IntPtr dataset);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_class_labels(DatasetHandle dataset, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_class_count(DatasetHandle dataset, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_class_name(DatasetHandle dataset, UIntPtr index, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_from_bank(BankHandle bank, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_from_embeddings(EmbeddingsHandle embeddings, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_load(byte[] path, byte[] architecture, ConfigHandle config,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_load_torchscript(byte[] path, byte[] output, ConfigHandle config,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_dim(TeacherHandle teacher, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_parameter_count(TeacherHandle teacher, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_warnings(TeacherHandle teacher, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_teacher_free(IntPtr teacher);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_teacher_from_callback(TeacherCallback callback, IntPtr userData,
            ReleaseCallback release, long dim, byte[] identity, int format, int device, ConfigHandle config,
            out IntPtr result);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_new(byte[] architecture, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_load(byte[] path, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_save(StudentHandle student, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_parameter_count(StudentHandle student, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_dim(StudentHandle student, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_weights_describe(byte[] path, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_load_weights(StudentHandle student, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_weights_report(StudentHandle student, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_set_provenance(StudentHandle student, byte[] key, byte[] json);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_provenance(StudentHandle student, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_export(StudentHandle student, byte[] path,
            ref ExportOptionsLayout options);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_student_warnings(StudentHandle student, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_student_free(IntPtr student);

        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_architecture_count(out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_architecture_name(UIntPtr index, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_new(byte[] architecture, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_model_open(byte[] path, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_from_student(StudentHandle student, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_from_teacher(TeacherHandle teacher, ConfigHandle config,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_from_session(SessionHandle session, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_get_info(ModelHandle model, ref ModelInfoLayout info);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_architecture(ModelHandle model, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_range(ModelHandle model, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_model_provenance(ModelHandle model, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_model_free(IntPtr model);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_new(UIntPtr capacity, UIntPtr dim, ulong seed, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_load(byte[] path, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_save(QueueHandle queue, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_push(QueueHandle queue, float* embeddings, UIntPtr count, UIntPtr dim);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_length(QueueHandle queue, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_capacity(QueueHandle queue, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_dim(QueueHandle queue, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_similarities(QueueHandle queue, float* queries, UIntPtr count,
            UIntPtr dim, IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_rows(QueueHandle queue, UIntPtr first, UIntPtr count, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_nearest(QueueHandle queue, float* queries, UIntPtr count, UIntPtr dim,
            UIntPtr k, uint* indices, float* similarities, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_snapshot(QueueHandle queue, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_queue_restore(QueueHandle queue, QueueHandle snapshot);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_queue_free(IntPtr queue);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_embeddings_load(byte[] path, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_embeddings_new(float* rows, UIntPtr count, UIntPtr dim, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_embeddings_count(EmbeddingsHandle embeddings, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_embeddings_dim(EmbeddingsHandle embeddings, out long result);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_embeddings_free(IntPtr embeddings);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_new(ConfigHandle config, StudentHandle student,
            TeacherHandle teacher, QueueHandle queue, DatasetHandle dataset, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_run(TrainerHandle trainer, ulong maxSteps, ProgressCallback callback,
            IntPtr userData, CancelTokenHandle cancel, out int outcome);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_step(TrainerHandle trainer, ImageLayout* images, UIntPtr count,
            out double loss);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_position(TrainerHandle trainer, out ulong step,
            out ulong totalSteps);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_save(TrainerHandle trainer, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_resume(TrainerHandle trainer, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_warnings(TrainerHandle trainer, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_trainer_free(IntPtr trainer);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_world_new(uint rank, uint size, byte[] address, ulong timeout,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_world_position(WorldHandle world, out uint rank, out uint size);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_world_free(IntPtr world);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_trainer_set_world(TrainerHandle trainer, WorldHandle world);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_predict_size(ulong images, ulong views, ulong dim, out ulong bytes);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_fill(byte[] path, ConfigHandle config, TeacherHandle teacher,
            DatasetHandle dataset, ulong maxRows, BankCallback callback, IntPtr userData, CancelTokenHandle cancel,
            out int outcome);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_open(byte[] path, TeacherHandle teacher, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)] internal static extern IntPtr seed_bank_verify(BankHandle bank);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_rows(BankHandle bank, out ulong finished, out ulong total);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_dim(BankHandle bank, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_images(BankHandle bank, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_views(BankHandle bank, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_bank_header(BankHandle bank, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_bank_free(IntPtr bank);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_open(byte[] path, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_from_student(StudentHandle student, ConfigHandle config,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_from_teacher(TeacherHandle teacher, ConfigHandle config,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_describe(SessionHandle session, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_engine(SessionHandle session, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_dim(SessionHandle session, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_parameter_count(SessionHandle session, out long result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_embed(SessionHandle session, ImageLayout* images, UIntPtr count,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_preprocess(SessionHandle session, ImageLayout* images, UIntPtr count,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_embed_dlpack(SessionHandle session, IntPtr images,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_swap(SessionHandle session, SessionHandle other);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_embed_dataset(SessionHandle session, DatasetHandle dataset,
            CountCallback callback, IntPtr userData, CancelTokenHandle cancel, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_warnings(SessionHandle session, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_session_free(IntPtr session);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_stage_count(SessionHandle session, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_stage(SessionHandle session, UIntPtr index, out long channels,
            out long stride, IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_session_feature_map(SessionHandle session, byte[] name, ImageLayout* images,
            UIntPtr count, IntPtr buffer, UIntPtr capacity, out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_open(byte[] path, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_save(ClassifierHandle classifier, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_export(ClassifierHandle classifier, byte[] path,
            ref ExportOptionsLayout options);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_class_count(ClassifierHandle classifier, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_class_name(ClassifierHandle classifier, UIntPtr index,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_describe(ClassifierHandle classifier, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_confusion(ClassifierHandle classifier, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_confusion_csv(ClassifierHandle classifier, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_classify(ClassifierHandle classifier, ImageLayout* images,
            UIntPtr count, IntPtr classes, IntPtr confidences, IntPtr unsure, IntPtr probabilities);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_classify_dataset(ClassifierHandle classifier,
            DatasetHandle dataset, CountCallback callback, IntPtr userData, CancelTokenHandle cancel, IntPtr classes,
            IntPtr confidences, IntPtr unsure, IntPtr probabilities, UIntPtr capacity);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_judge(ClassifierHandle classifier, DatasetHandle dataset,
            IntPtr labels, UIntPtr labelCount, CountCallback callback, IntPtr userData, CancelTokenHandle cancel,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_warnings(ClassifierHandle classifier, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_classifier_free(IntPtr classifier);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_fit(ConfigHandle config, StudentHandle student,
            ClassifierHandle earlier, TeacherHandle teacher, DatasetHandle dataset, IntPtr labels, UIntPtr labelCount,
            IntPtr[] names, UIntPtr classCount, FitCallback callback, IntPtr userData, CancelTokenHandle cancel,
            out int outcome, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_classifier_distil(ConfigHandle config, StudentHandle student,
            ClassifierHandle earlier, TeacherHandle teacher, ClassifierHandle taughtBy, DatasetHandle dataset,
            IntPtr labels, UIntPtr labelCount, IntPtr[] names, UIntPtr classCount, FitCallback callback,
            IntPtr userData, CancelTokenHandle cancel, out int outcome, out IntPtr result);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_fit(ConfigHandle config, StudentHandle student, DatasetHandle good,
            CountCallback callback, IntPtr userData, CancelTokenHandle cancel, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_add(AnomalyHandle anomaly, ConfigHandle config, DatasetHandle good,
            CountCallback callback, IntPtr userData, CancelTokenHandle cancel);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_open(byte[] path, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_save(AnomalyHandle anomaly, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_export(AnomalyHandle anomaly, byte[] path,
            ref ExportOptionsLayout options);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_threshold(AnomalyHandle anomaly, out float threshold,
            out double rate);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_describe(AnomalyHandle anomaly, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_score(AnomalyHandle anomaly, ImageLayout* images, UIntPtr count,
            float* scores, byte* alarms);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_map(AnomalyHandle anomaly, ImageLayout* image, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length, float* score, byte* alarm);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_anomaly_warnings(AnomalyHandle anomaly, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_anomaly_free(IntPtr anomaly);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_fit(ConfigHandle config, StudentHandle student, DatasetHandle dataset,
            ImageLayout* masks, UIntPtr maskCount, IntPtr[] names, UIntPtr classCount, CountCallback callback, IntPtr userData,
            CancelTokenHandle cancel, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_open(byte[] path, ConfigHandle config, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_save(SegmenterHandle segmenter, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_class_count(SegmenterHandle segmenter, out UIntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_describe(SegmenterHandle segmenter, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_segment(SegmenterHandle segmenter, ImageLayout* image, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length, IntPtr confidences);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmenter_warnings(SegmenterHandle segmenter, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_segmenter_free(IntPtr segmenter);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_mask_overlap(byte* predicted, byte* truth, UIntPtr count, UIntPtr classCount, IntPtr ious,
            out double mean);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_segmentation_evaluate(ConfigHandle config, StudentHandle student, DatasetHandle dataset,
            ImageLayout* masks, UIntPtr maskCount, UIntPtr classCount, uint splits, CountCallback callback, IntPtr userData,
            CancelTokenHandle cancel, ref SegmentationLayout result, IntPtr ious);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_open(byte[] path, ref StoreOptionsLayout options, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_open_to_read(byte[] path, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_close(StoreHandle store);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_store_free(IntPtr store);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_set_session(StoreHandle store, SessionHandle session);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_push(StoreHandle store, ImageLayout* image, StoreEntryLayout* entry,
            uint waitMs, out long id);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_push_encoded(StoreHandle store, byte* bytes, UIntPtr length,
            StoreEntryLayout* entry, uint waitMs, out long id);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_flush(StoreHandle store);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_set_label(StoreHandle store, long id, long label, byte[] text);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_remove(StoreHandle store, long* ids, UIntPtr count);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_list(StoreHandle store, ref StoreFilterLayout filter, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_describe(StoreHandle store, long id, ref StoreRecordLayout record);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_text(StoreHandle store, long id, int which, IntPtr buffer,
            UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_pixels(StoreHandle store, long id, ref ImageLayout image,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_encoded(StoreHandle store, long id, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_embedding(StoreHandle store, long id, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_labels(StoreHandle store, long* ids, UIntPtr count, long* labels);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_dataset_open_store(StoreHandle store, long* ids, UIntPtr count,
            out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_stats_now(StoreHandle store, ref StoreStatsLayout stats);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_trouble(StoreHandle store, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_check(byte[] path, CountCallback callback, IntPtr userData);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_store_repair(byte[] path, byte[] newPath, CountCallback callback,
            IntPtr userData, out ulong saved, out ulong lost, out int listDamaged);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_knn_evaluate(float* embeddings, UIntPtr count, UIntPtr dim, long* labels,
            UIntPtr k, uint splits, ulong seed, ref KnnLayout result);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_knn_classify(float* queries, UIntPtr queryCount, float* gallery,
            long* galleryLabels, UIntPtr galleryCount, UIntPtr dim, UIntPtr k, double temperature, long* buffer,
            UIntPtr capacity, out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_neighbours(float* embeddings, UIntPtr count, UIntPtr dim, UIntPtr k,
            IntPtr buffer, UIntPtr capacity, out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_neighbours_in(float* queries, UIntPtr queryCount, float* gallery,
            UIntPtr galleryCount, UIntPtr dim, UIntPtr k, uint* indices, float* similarities, UIntPtr capacity,
            out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_agreement(float* student, UIntPtr studentDim, float* teacher,
            UIntPtr teacherDim, UIntPtr count, UIntPtr k, out double share);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_auroc(float* scores, byte* positives, UIntPtr count, out double value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_region_overlap(float* scores, byte* masks, uint* widths, uint* heights,
            UIntPtr count, double limit, out double value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_linear_evaluate(float* features, UIntPtr count, UIntPtr dim, IntPtr labels,
            uint splits, ulong seed, double labelFraction, CancelTokenHandle cancel, ref LinearLayout result,
            IntPtr recalls, UIntPtr classCount);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_semi_supervised_evaluate(ConfigHandle config, StudentHandle student,
            DatasetHandle dataset, IntPtr labels, UIntPtr labelCount, uint splits, CountCallback callback,
            IntPtr userData, CancelTokenHandle cancel, ref LinearLayout result, IntPtr recalls, UIntPtr classCount);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_transfer_evaluate(ConfigHandle config, StudentHandle student,
            DatasetHandle dataset, IntPtr labels, UIntPtr labelCount, DatasetHandle test, IntPtr testLabels,
            UIntPtr testLabelCount, uint splits, CountCallback callback, IntPtr userData, CancelTokenHandle cancel,
            ref LinearLayout result, IntPtr recalls, UIntPtr classCount);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_linear_sgd_evaluate(ConfigHandle config, StudentHandle student,
            DatasetHandle dataset, IntPtr labels, UIntPtr labelCount, DatasetHandle test, IntPtr testLabels,
            UIntPtr testLabelCount, FitCallback callback, IntPtr userData, CancelTokenHandle cancel,
            ref LinearSgdLayout result, IntPtr recalls, UIntPtr classCount);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_drift_new(float* embeddings, UIntPtr count, UIntPtr dim, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_drift_load(byte[] path, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_drift_save(DriftHandle drift, byte[] path);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_drift_set_session(DriftHandle drift, SessionHandle session);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_drift_measure(DriftHandle drift, float* embeddings, UIntPtr count,
            UIntPtr dim, ref DriftSignalLayout signal);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_drift_free(IntPtr drift);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_fidelity_measure(float* student, float* teacher, UIntPtr count, UIntPtr dim,
            float* queue, UIntPtr queueCount, UIntPtr k, double temperatureStudent, double temperatureTeacher,
            ulong seed, ref FidelityLayout result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_fidelity_compare(ref FidelityLayout then, ref FidelityLayout now,
            out int worse);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_gate_judge(SessionHandle oldSession, SessionHandle newSession,
            SessionHandle teacher, DatasetHandle frames, DatasetHandle reference, long* labels, UIntPtr labelCount,
            ref GateOptionsLayout options, CountCallback callback, IntPtr userData, ref VerdictLayout verdict);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_preset(ConfigHandle config, byte[] name);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_config_plan(ConfigHandle config, DatasetHandle dataset, TeacherHandle teacher,
            byte[] architecture, int fromWeights, double seconds);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_distil(DatasetHandle dataset, TeacherHandle teacher, byte[] architecture,
            byte[] weights, double seconds, byte[] folder, ConfigHandle config, DistilCallback callback, IntPtr userData,
            CancelTokenHandle cancel, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_distilled_student(DistilledHandle distilled, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_distilled_summary(DistilledHandle distilled, ref DistilSummaryLayout summary);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_distilled_warnings(DistilledHandle distilled, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_distilled_settings(DistilledHandle distilled, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_distilled_free(IntPtr distilled);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_night_run(ConfigHandle config, StoreHandle store, TeacherHandle teacher,
            byte[] folder, StudentHandle first, ref NightOptionsLayout options, SessionHandle session,
            NightCallback callback, IntPtr userData, CancelTokenHandle cancel, ref NightResultLayout result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_night_restore(byte[] folder, ConfigHandle config, SessionHandle session);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_night_describe(byte[] folder, IntPtr buffer, UIntPtr capacity,
            out UIntPtr length);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_new(byte[] title, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_paragraph(ReportHandle report, byte[] paragraph);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_heading(ReportHandle report, byte[] heading);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_table(ReportHandle report, byte[] title, IntPtr[] heads,
            UIntPtr columns, IntPtr[] cells, UIntPtr rows);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_point(ReportHandle report, byte[] chart, byte[] xLabel,
            byte[] yLabel, byte[] series, double x, double y);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_neighbours(ReportHandle report, byte[] title,
            DatasetHandle dataset, uint* queries, UIntPtr count, UIntPtr k, byte[] leftName, uint* left,
            byte[] rightName, uint* right);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_confusion(ReportHandle report, byte[] title,
            ClassifierHandle classifier);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_write(ReportHandle report, byte[] path);
        [DllImport(Seed, CallingConvention = C)] internal static extern void seed_report_free(IntPtr report);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_class_sheet(ReportHandle report, byte[] title,
            DatasetHandle dataset, IntPtr labels, UIntPtr labelCount, IntPtr[] names, UIntPtr classCount,
            float* embeddings, UIntPtr dim, IntPtr classes, float* confidences, UIntPtr perClass);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_confusion_of(ReportHandle report, byte[] title, IntPtr labels,
            IntPtr classes, UIntPtr count, IntPtr[] names, UIntPtr classCount);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_map(ReportHandle report, byte[] title, float* embeddings,
            UIntPtr count, UIntPtr dim, IntPtr labels, IntPtr[] names, UIntPtr classCount, DatasetHandle dataset,
            ref MapOptionsLayout options);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_heat_map(ReportHandle report, byte[] sheet, byte[] caption,
            ImageLayout* image, float* map, byte* mask, UIntPtr pixels, double score, double threshold);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_time_point(ReportHandle report, byte[] chart, byte[] yLabel,
            byte[] series, long timeUs, double value, double low, double high);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_drift(ReportHandle report, byte[] chart, long timeUs,
            ref DriftSignalLayout signal);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_report_add_limit(ReportHandle report, byte[] chart, byte[] name, double y);

        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_event_file_new(byte[] folder, ulong firstStep, out IntPtr result);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern IntPtr seed_event_file_add_scalar(EventFileHandle eventFile, byte[] tag, ulong step,
            double value);
        [DllImport(Seed, CallingConvention = C)]
        internal static extern void seed_event_file_free(IntPtr eventFile);
    }
}
