/* The layout of every struct of seed.h in literal numbers, for 64-bit Linux: programs that were compiled long ago rely on
 * them. A number here may only change together with SEED_ABI_VERSION; a struct with struct_size may grow at its end.
 * Also compiled as C++17. */
#include "check.h"

#include <stddef.h>

#define SIZE(type, bytes) CHECK(sizeof(type) == (bytes))
#define FIELD(type, field, at, bytes)                                                                                  \
  CHECK(offsetof(type, field) == (at) && sizeof(((type *)0)->field) == (bytes))

int main(int count, char **words) {
  (void)count;
  (void)words;
  SIZE(seed_image, 40);
  FIELD(seed_image, struct_size, 0, 8);
  FIELD(seed_image, data, 8, 8);
  FIELD(seed_image, width, 16, 4);
  FIELD(seed_image, height, 20, 4);
  FIELD(seed_image, row_stride, 24, 8);
  FIELD(seed_image, format, 32, 4);
  FIELD(seed_image, device, 36, 4);

  SIZE(seed_memory, 48);
  FIELD(seed_memory, struct_size, 0, 8);
  FIELD(seed_memory, process_bytes, 8, 8);
  FIELD(seed_memory, process_peak_bytes, 16, 8);
  FIELD(seed_memory, device_free_bytes, 24, 8);
  FIELD(seed_memory, device_total_bytes, 32, 8);
  FIELD(seed_memory, device_taken_bytes, 40, 8);

  SIZE(seed_progress, 128);
  FIELD(seed_progress, struct_size, 0, 8);
  FIELD(seed_progress, step, 8, 8);
  FIELD(seed_progress, total_steps, 16, 8);
  FIELD(seed_progress, epoch, 24, 8);
  FIELD(seed_progress, skipped_images, 32, 8);
  FIELD(seed_progress, loss, 40, 8);
  FIELD(seed_progress, learning_rate, 48, 8);
  FIELD(seed_progress, images_per_second, 56, 8);
  FIELD(seed_progress, eta_seconds, 64, 8);
  FIELD(seed_progress, elapsed_seconds, 72, 8);
  FIELD(seed_progress, waiting_share, 80, 8);
  FIELD(seed_progress, probe_agreement, 88, 8);
  FIELD(seed_progress, probe_agreement_start, 96, 8);
  FIELD(seed_progress, probe_agreement_best, 104, 8);
  FIELD(seed_progress, probe_recall, 112, 8);
  FIELD(seed_progress, probe_step, 120, 8);

  SIZE(seed_distil_progress, 80);
  FIELD(seed_distil_progress, struct_size, 0, 8);
  FIELD(seed_distil_progress, stage, 8, 4);
  FIELD(seed_distil_progress, done, 16, 8);
  FIELD(seed_distil_progress, total, 24, 8);
  FIELD(seed_distil_progress, elapsed_seconds, 32, 8);
  FIELD(seed_distil_progress, eta_seconds, 40, 8);
  FIELD(seed_distil_progress, images_per_second, 48, 8);
  FIELD(seed_distil_progress, loss, 56, 8);
  FIELD(seed_distil_progress, probe_agreement, 64, 8);
  FIELD(seed_distil_progress, probe_recall, 72, 8);

  SIZE(seed_distil_summary, 120);
  FIELD(seed_distil_summary, struct_size, 0, 8);
  FIELD(seed_distil_summary, outcome, 8, 4);
  FIELD(seed_distil_summary, images, 16, 8);
  FIELD(seed_distil_summary, classes, 24, 8);
  FIELD(seed_distil_summary, steps, 32, 8);
  FIELD(seed_distil_summary, seconds, 40, 8);
  FIELD(seed_distil_summary, agreement_before, 48, 8);
  FIELD(seed_distil_summary, agreement_after, 56, 8);
  FIELD(seed_distil_summary, agreement_chance, 64, 8);
  FIELD(seed_distil_summary, recall_before, 72, 8);
  FIELD(seed_distil_summary, recall_after, 80, 8);
  FIELD(seed_distil_summary, recall_after_deviation, 88, 8);
  FIELD(seed_distil_summary, recall_teacher, 96, 8);
  FIELD(seed_distil_summary, recall_chance, 104, 8);
  FIELD(seed_distil_summary, warnings, 112, 8);

  SIZE(seed_bank_progress, 64);
  FIELD(seed_bank_progress, struct_size, 0, 8);
  FIELD(seed_bank_progress, rows, 8, 8);
  FIELD(seed_bank_progress, total_rows, 16, 8);
  FIELD(seed_bank_progress, skipped_images, 24, 8);
  FIELD(seed_bank_progress, rows_per_second, 32, 8);
  FIELD(seed_bank_progress, eta_seconds, 40, 8);
  FIELD(seed_bank_progress, elapsed_seconds, 48, 8);
  FIELD(seed_bank_progress, waiting_share, 56, 8);

  SIZE(seed_knn_result, 40);
  FIELD(seed_knn_result, struct_size, 0, 8);
  FIELD(seed_knn_result, accuracy_mean, 8, 8);
  FIELD(seed_knn_result, accuracy_deviation, 16, 8);
  FIELD(seed_knn_result, balanced_recall_mean, 24, 8);
  FIELD(seed_knn_result, balanced_recall_deviation, 32, 8);

  SIZE(seed_teacher_batch, 88);
  FIELD(seed_teacher_batch, struct_size, 0, 8);
  FIELD(seed_teacher_batch, images, 8, 8);
  FIELD(seed_teacher_batch, count, 16, 8);
  FIELD(seed_teacher_batch, height, 24, 4);
  FIELD(seed_teacher_batch, width, 28, 4);
  FIELD(seed_teacher_batch, format, 32, 4);
  FIELD(seed_teacher_batch, device, 36, 4);
  FIELD(seed_teacher_batch, device_index, 40, 4);
  FIELD(seed_teacher_batch, dim, 48, 8);
  FIELD(seed_teacher_batch, embeddings, 56, 8);
  FIELD(seed_teacher_batch, tensor, 64, 8);
  FIELD(seed_teacher_batch, message, 72, 8);
  FIELD(seed_teacher_batch, message_capacity, 80, 8);

  SIZE(seed_finetune_progress, 80);
  FIELD(seed_finetune_progress, struct_size, 0, 8);
  FIELD(seed_finetune_progress, stage, 8, 4);
  FIELD(seed_finetune_progress, reserved, 12, 4);
  FIELD(seed_finetune_progress, done, 16, 8);
  FIELD(seed_finetune_progress, total, 24, 8);
  FIELD(seed_finetune_progress, epoch, 32, 8);
  FIELD(seed_finetune_progress, loss, 40, 8);
  FIELD(seed_finetune_progress, held_out_loss, 48, 8);
  FIELD(seed_finetune_progress, held_out_accuracy, 56, 8);
  FIELD(seed_finetune_progress, eta_seconds, 64, 8);
  FIELD(seed_finetune_progress, elapsed_seconds, 72, 8);

  SIZE(seed_model_info, 112);
  FIELD(seed_model_info, struct_size, 0, 8);
  FIELD(seed_model_info, parameters, 8, 8);
  FIELD(seed_model_info, multiply_adds, 16, 8);
  FIELD(seed_model_info, feature_dim, 24, 8);
  FIELD(seed_model_info, embedding_dim, 32, 8);
  FIELD(seed_model_info, mean, 40, 24);
  FIELD(seed_model_info, std, 64, 24);
  FIELD(seed_model_info, input_width, 88, 4);
  FIELD(seed_model_info, input_height, 92, 4);
  FIELD(seed_model_info, input_channels, 96, 4);
  FIELD(seed_model_info, head, 100, 4);
  FIELD(seed_model_info, resize, 104, 4);
  FIELD(seed_model_info, reserved, 108, 4);

  SIZE(seed_export_options, 24);
  FIELD(seed_export_options, struct_size, 0, 8);
  FIELD(seed_export_options, format, 8, 4);
  FIELD(seed_export_options, input, 12, 4);
  FIELD(seed_export_options, outputs, 16, 4);
  FIELD(seed_export_options, reserved, 20, 4);

  SIZE(seed_store_options, 64);
  FIELD(seed_store_options, struct_size, 0, 8);
  FIELD(seed_store_options, max_bytes, 8, 8);
  FIELD(seed_store_options, max_frames, 16, 8);
  FIELD(seed_store_options, max_age_seconds, 24, 8);
  FIELD(seed_store_options, seed, 32, 8);
  FIELD(seed_store_options, queue_bytes, 40, 8);
  FIELD(seed_store_options, queue_frames, 48, 4);
  FIELD(seed_store_options, keep, 52, 4);
  FIELD(seed_store_options, encoding, 56, 4);
  FIELD(seed_store_options, jpeg_quality, 60, 4);

  SIZE(seed_store_entry, 72);
  FIELD(seed_store_entry, struct_size, 0, 8);
  FIELD(seed_store_entry, name, 8, 8);
  FIELD(seed_store_entry, metadata, 16, 8);
  FIELD(seed_store_entry, time_us, 24, 8);
  FIELD(seed_store_entry, embedding, 32, 8);
  FIELD(seed_store_entry, embedding_dim, 40, 8);
  FIELD(seed_store_entry, label, 48, 8);
  FIELD(seed_store_entry, label_text, 56, 8);
  FIELD(seed_store_entry, has_label, 64, 4);

  SIZE(seed_store_filter, 64);
  FIELD(seed_store_filter, struct_size, 0, 8);
  FIELD(seed_store_filter, first_id, 8, 8);
  FIELD(seed_store_filter, last_id, 16, 8);
  FIELD(seed_store_filter, from_us, 24, 8);
  FIELD(seed_store_filter, until_us, 32, 8);
  FIELD(seed_store_filter, label, 40, 8);
  FIELD(seed_store_filter, last, 48, 8);
  FIELD(seed_store_filter, labelled, 56, 4);

  SIZE(seed_store_record, 64);
  FIELD(seed_store_record, struct_size, 0, 8);
  FIELD(seed_store_record, id, 8, 8);
  FIELD(seed_store_record, time_us, 16, 8);
  FIELD(seed_store_record, label, 24, 8);
  FIELD(seed_store_record, bytes, 32, 8);
  FIELD(seed_store_record, width, 40, 4);
  FIELD(seed_store_record, height, 44, 4);
  FIELD(seed_store_record, channels, 48, 4);
  FIELD(seed_store_record, bits, 52, 4);
  FIELD(seed_store_record, crc32, 56, 4);
  FIELD(seed_store_record, encoding, 60, 4);

  SIZE(seed_store_stats, 96);
  FIELD(seed_store_stats, struct_size, 0, 8);
  FIELD(seed_store_stats, pushed, 8, 8);
  FIELD(seed_store_stats, stored, 16, 8);
  FIELD(seed_store_stats, dropped, 24, 8);
  FIELD(seed_store_stats, passed_over, 32, 8);
  FIELD(seed_store_stats, failed, 40, 8);
  FIELD(seed_store_stats, evicted, 48, 8);
  FIELD(seed_store_stats, queue_frames, 56, 8);
  FIELD(seed_store_stats, queue_bytes, 64, 8);
  FIELD(seed_store_stats, frames, 72, 8);
  FIELD(seed_store_stats, bytes, 80, 8);
  FIELD(seed_store_stats, file_bytes, 88, 8);

  SIZE(seed_linear_result, 56);
  FIELD(seed_linear_result, struct_size, 0, 8);
  FIELD(seed_linear_result, accuracy_mean, 8, 8);
  FIELD(seed_linear_result, accuracy_deviation, 16, 8);
  FIELD(seed_linear_result, balanced_recall_mean, 24, 8);
  FIELD(seed_linear_result, balanced_recall_deviation, 32, 8);
  FIELD(seed_linear_result, auroc_mean, 40, 8);
  FIELD(seed_linear_result, auroc_deviation, 48, 8);
  SIZE(seed_segmentation_result, 40);
  FIELD(seed_segmentation_result, struct_size, 0, 8);
  FIELD(seed_segmentation_result, mean_iou_mean, 8, 8);
  FIELD(seed_segmentation_result, mean_iou_deviation, 16, 8);
  FIELD(seed_segmentation_result, accuracy_mean, 24, 8);
  FIELD(seed_segmentation_result, accuracy_deviation, 32, 8);
  SIZE(seed_linear_sgd_result, 64);
  FIELD(seed_linear_sgd_result, struct_size, 0, 8);
  FIELD(seed_linear_sgd_result, images, 8, 8);
  FIELD(seed_linear_sgd_result, test_images, 16, 8);
  FIELD(seed_linear_sgd_result, accuracy, 24, 8);
  FIELD(seed_linear_sgd_result, top5_accuracy, 32, 8);
  FIELD(seed_linear_sgd_result, balanced_recall, 40, 8);
  FIELD(seed_linear_sgd_result, loss, 48, 8);
  FIELD(seed_linear_sgd_result, train_loss, 56, 8);

  SIZE(seed_drift_signal, 64);
  FIELD(seed_drift_signal, struct_size, 0, 8);
  FIELD(seed_drift_signal, energy, 8, 8);
  FIELD(seed_drift_signal, threshold, 16, 8);
  FIELD(seed_drift_signal, p_value, 24, 8);
  FIELD(seed_drift_signal, nearest, 32, 8);
  FIELD(seed_drift_signal, nearest_reference, 40, 8);
  FIELD(seed_drift_signal, outside, 48, 8);
  FIELD(seed_drift_signal, raised, 56, 4);

  SIZE(seed_interval, 24);
  FIELD(seed_interval, value, 0, 8);
  FIELD(seed_interval, low, 8, 8);
  FIELD(seed_interval, high, 16, 8);

  SIZE(seed_fidelity, 120);
  FIELD(seed_fidelity, struct_size, 0, 8);
  FIELD(seed_fidelity, frames, 8, 8);
  FIELD(seed_fidelity, k, 16, 8);
  FIELD(seed_fidelity, queue, 24, 8);
  FIELD(seed_fidelity, temperature_student, 32, 8);
  FIELD(seed_fidelity, temperature_teacher, 40, 8);
  FIELD(seed_fidelity, kl, 48, 24);
  FIELD(seed_fidelity, overlap, 72, 24);
  FIELD(seed_fidelity, cosine, 96, 24);

  SIZE(seed_map_options, 40);
  FIELD(seed_map_options, struct_size, 0, 8);
  FIELD(seed_map_options, max_points, 8, 8);
  FIELD(seed_map_options, perplexity, 16, 8);
  FIELD(seed_map_options, seed, 24, 8);
  FIELD(seed_map_options, method, 32, 4);
  FIELD(seed_map_options, reserved, 36, 4);

  SIZE(seed_gate_options, 72);
  FIELD(seed_gate_options, struct_size, 0, 8);
  FIELD(seed_gate_options, k, 8, 8);
  FIELD(seed_gate_options, temperature_student, 16, 8);
  FIELD(seed_gate_options, temperature_teacher, 24, 8);
  FIELD(seed_gate_options, kl_margin, 32, 8);
  FIELD(seed_gate_options, overlap_margin, 40, 8);
  FIELD(seed_gate_options, recall_margin, 48, 8);
  FIELD(seed_gate_options, latency_factor, 56, 8);
  FIELD(seed_gate_options, seed, 64, 8);

  SIZE(seed_criterion, 56);
  FIELD(seed_criterion, old_value, 0, 8);
  FIELD(seed_criterion, new_value, 8, 8);
  FIELD(seed_criterion, difference, 16, 24);
  FIELD(seed_criterion, limit, 40, 8);
  FIELD(seed_criterion, holds, 48, 4);

  SIZE(seed_verdict, 240);
  FIELD(seed_verdict, struct_size, 0, 8);
  FIELD(seed_verdict, kl, 8, 56);
  FIELD(seed_verdict, overlap, 64, 56);
  FIELD(seed_verdict, recall, 120, 56);
  FIELD(seed_verdict, latency, 176, 56);
  FIELD(seed_verdict, passes, 232, 4);
  FIELD(seed_verdict, latency_unclear, 236, 4);

  SIZE(seed_night_options, 104);
  FIELD(seed_night_options, struct_size, 0, 8);
  FIELD(seed_night_options, min_new_frames, 8, 8);
  FIELD(seed_night_options, max_compared, 16, 8);
  FIELD(seed_night_options, min_labels, 24, 8);
  FIELD(seed_night_options, min_reference, 32, 8);
  FIELD(seed_night_options, queue_frames, 40, 8);
  FIELD(seed_night_options, k, 48, 8);
  FIELD(seed_night_options, held_out, 56, 8);
  FIELD(seed_night_options, replay, 64, 8);
  FIELD(seed_night_options, kl_margin, 72, 8);
  FIELD(seed_night_options, overlap_margin, 80, 8);
  FIELD(seed_night_options, recall_margin, 88, 8);
  FIELD(seed_night_options, latency_factor, 96, 8);

  SIZE(seed_night_progress, 72);
  FIELD(seed_night_progress, struct_size, 0, 8);
  FIELD(seed_night_progress, night, 8, 8);
  FIELD(seed_night_progress, done, 16, 8);
  FIELD(seed_night_progress, total, 24, 8);
  FIELD(seed_night_progress, loss, 32, 8);
  FIELD(seed_night_progress, images_per_second, 40, 8);
  FIELD(seed_night_progress, eta_seconds, 48, 8);
  FIELD(seed_night_progress, elapsed_seconds, 56, 8);
  FIELD(seed_night_progress, stage, 64, 4);
  FIELD(seed_night_progress, reserved, 68, 4);

  SIZE(seed_night_result, 416);
  FIELD(seed_night_result, struct_size, 0, 8);
  FIELD(seed_night_result, night, 8, 8);
  FIELD(seed_night_result, new_frames, 16, 8);
  FIELD(seed_night_result, learned_frames, 24, 8);
  FIELD(seed_night_result, older_frames, 32, 8);
  FIELD(seed_night_result, labelled_frames, 40, 8);
  FIELD(seed_night_result, compared_frames, 48, 8);
  FIELD(seed_night_result, reference_frames, 56, 8);
  FIELD(seed_night_result, seconds, 64, 8);
  FIELD(seed_night_result, loss, 72, 8);
  FIELD(seed_night_result, kl_old, 80, 8);
  FIELD(seed_night_result, kl_new, 88, 8);
  FIELD(seed_night_result, overlap_old, 96, 8);
  FIELD(seed_night_result, overlap_new, 104, 8);
  FIELD(seed_night_result, recall_old, 112, 8);
  FIELD(seed_night_result, recall_new, 120, 8);
  FIELD(seed_night_result, classifier_recall, 128, 8);
  FIELD(seed_night_result, latency_old, 136, 8);
  FIELD(seed_night_result, latency_new, 144, 8);
  FIELD(seed_night_result, outcome, 152, 4);
  FIELD(seed_night_result, reserved, 156, 4);
  FIELD(seed_night_result, reason, 160, 256);

  /* The library counts as this program does: seed_init takes the header's version and no other. */
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION + 1));
  FAILS(SEED_ERROR_NOT_INITIALIZED, seed_init(SEED_ABI_VERSION - 1));
  OK(seed_init(SEED_ABI_VERSION));
  if (failures == 0) printf("layout: all checks passed\n");
  return failures != 0;
}
