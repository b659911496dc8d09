/* SPDX-License-Identifier: BSD-3-Clause */
/* Launchers bind a rank, and with it the writer's thread, to its core. Where the job has cores that no rank is bound to, the writer
 * shall have those. */
#ifndef WC_RUNTIME_CORES_H
#define WC_RUNTIME_CORES_H

#include "../store/error.h"

/* Lets the writer run on every core that this process may have, if the ranks of its node have fewer, and starts the thread that
 * copies ahead (store/lent.h). Collective over R.comm. */
void wc_cores_free_writer(wc_error *error);

#endif
