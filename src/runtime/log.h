/* SPDX-License-Identifier: BSD-3-Clause */
/* What the library says on standard error. */
#ifndef WC_RUNTIME_LOG_H
#define WC_RUNTIME_LOG_H

typedef enum wc_log_level { WC_LOG_QUIET, WC_LOG_ERROR, WC_LOG_INFO, WC_LOG_DEBUG } wc_log_level;

void wc_log_setup(wc_log_level level, int rank);

/* One line "wavecut: ...": of the whole job (said by rank 0 only), or of this rank ("wavecut: rank
 * 3: ..."). */
void wc_log_job(wc_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void wc_log_rank(wc_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
